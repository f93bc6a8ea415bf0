/** `npm run docs`: writes the generated documents into the checkout it is started in. */
import { writeFileSync } from 'node:fs';
import { renderDocuments } from './documents.ts';

for (const [path, text] of Object.entries(renderDocuments())) writeFileSync(path, text);
