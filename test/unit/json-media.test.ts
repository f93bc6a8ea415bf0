import { describe, expect, test } from '@jest/globals';
import type { Media } from '../../proxy/json/types.ts';
import { memberOf, scan, scanObject } from '../support/scan-json.ts';

/** What is found in a member, without the kinds of which there is none. */
function found(media: Media): Partial<Record<string, number>> {
  return Object.fromEntries(Object.entries(media).filter(([, count]) => count > 0));
}

function inMember(name: string, json: string) {
  return found(memberOf(scanObject(`{"${name}":${json}}`), name).media);
}

/** In the content of the one message of a chat. */
function inContent(...parts: readonly string[]) {
  return inMember('messages', `[{"role":"user","content":[${parts.join(',')}]}]`);
}

/** Each is 8 bytes of media. */
const DATA = '"iVBORw0K"';
const URL = '"http://a"';
const payload = { payloadBytes: 8, payloadWrittenBytes: 8 };

describe('the shapes of media', () => {
  test.each<[string, string, object]>([
    ['OpenAI, an image', `{"type":"image_url","image_url":{"url":${URL}}}`, { images: 1 }],
    ['given as a string', `{"type":"image_url","image_url":${URL}}`, { images: 1 }],
    ['vLLM, a recording', `{"type":"audio_url","audio_url":{"url":${DATA}}}`, { audios: 1 }],
    ['vLLM, a video', `{"type":"video_url","video_url":{"url":${URL}}}`, { videos: 1 }],
    [
      'OpenAI, a recording',
      `{"type":"input_audio","input_audio":{"data":${DATA},"format":"wav"}}`,
      { audios: 1 },
    ],
    ['llama.cpp, a video', `{"type":"input_video","input_video":{"data":${DATA}}}`, { videos: 1 }],
    [
      'OpenAI, a file',
      `{"type":"file","file":{"filename":"a.pdf","file_data":${DATA}}}`,
      { files: 1 },
    ],
    ['Responses, an image', `{"type":"input_image","image_url":${DATA}}`, { images: 1 }],
    ['Responses, a file', `{"type":"input_file","file_data":${DATA}}`, { files: 1 }],
    ['Responses, a file by URL', `{"type":"input_file","file_url":${URL}}`, { files: 1 }],
    [
      'Anthropic, an image',
      `{"type":"image","source":{"type":"base64","media_type":"image/png","data":${DATA}}}`,
      { images: 1 },
    ],
    [
      'Anthropic, an image by URL',
      `{"type":"image","source":{"type":"url","url":${URL}}}`,
      { images: 1 },
    ],
    [
      'Anthropic, a document',
      `{"type":"document","title":"t","source":{"type":"base64","data":${DATA}}}`,
      { files: 1 },
    ],
    [
      'Anthropic, an image in the result of a tool',
      `{"type":"tool_result","content":[{"type":"image","source":{"type":"url","url":${URL}}}]}`,
      { images: 1 },
    ],
    [
      'Anthropic, an image in a document',
      `{"type":"document","source":{"type":"content","content":[{"type":"image","source":{"type":"url","url":${URL}}}]}}`,
      { files: 1, images: 1 },
    ],
    ['Hugging Face, by URL', `{"type":"image","url":${URL}}`, { images: 1 }],
    ['Hugging Face, by path', `{"type":"image","path":"/a/b.png"}`, { images: 1 }],
    ['Hugging Face, in base64', `{"type":"image","base64":${DATA}}`, { images: 1 }],
    ['Hugging Face, a video', `{"type":"video","video":${URL}}`, { videos: 1 }],
    ['the type comes last', `{"image_url":{"url":${URL}},"type":"image_url"}`, { images: 1 }],
    [
      'escaped keys and types',
      `{"\\u0074ype":"im\\u0061ge_url","image\\u005furl":{"ur\\u006c":${URL}}}`,
      { images: 1 },
    ],
  ])('%s', (_, part, kinds) => {
    expect(inContent('{"type":"text","text":"see"}', part)).toEqual({ ...kinds, ...payload });
  });

  test.each<[string, string, string, object]>([
    ['Ollama, in a message', 'messages', `[{"content":"see","images":[${DATA}]}]`, { images: 1 }],
    ['Ollama, beside the prompt', 'images', `[${DATA}]`, { images: 1 }],
    [
      'llama.cpp, with a prompt',
      'prompt',
      `{"prompt_string":"see","multimodal_data":[${DATA}]}`,
      { unnamed: 1 },
    ],
    [
      'llama.cpp, with one of several prompts',
      'prompt',
      `["text",{"prompt_string":"see","multimodal_data":[${DATA}]}]`,
      { unnamed: 1 },
    ],
    [
      'Responses, in the output of a function',
      'input',
      `[{"type":"function_call_output","output":[{"type":"input_image","image_url":${URL}}]}]`,
      { images: 1 },
    ],
  ])('%s', (_, name, json, kinds) => {
    expect(inMember(name, json)).toEqual({ ...kinds, ...payload });
  });

  test('each is counted, and each member on its own', () => {
    const image = `{"type":"image_url","image_url":{"url":${URL}}}`;
    const object = scanObject(
      `{"messages":[{"content":[${image},${image}]},{"content":[${image}]}],"images":[${DATA}],"model":"m"}`,
    );
    expect(memberOf(object, 'messages').media).toMatchObject({ images: 3, payloadBytes: 24 });
    expect(memberOf(object, 'images').media).toMatchObject({ images: 1, payloadBytes: 8 });
    expect(found(memberOf(object, 'model').media)).toEqual({});
  });

  test('bytes as written and as decoded differ by the escapes', () => {
    expect(inContent('{"type":"image","url":"http:\\/\\/a\\u0020"}')).toEqual({
      images: 1,
      payloadBytes: 9,
      payloadWrittenBytes: 16,
    });
  });
});

describe('media without bytes of their own', () => {
  test.each<[string, string, object]>([
    ['a file named by its id', '{"type":"input_image","file_id":"file-1"}', { images: 1 }],
    ['an image of the template', '{"type":"image"}', { images: 1 }],
    ['what vLLM has cached', '{"type":"image_url","image_url":null,"uuid":"u"}', { images: 1 }],
    [
      'what vLLM has cached, under another type',
      '{"type":"text","text":"see","video_url":null,"uuid":"u"}',
      { videos: 1 },
    ],
  ])('%s', (_, part, kinds) => {
    expect(inContent(part)).toEqual(kinds);
  });
});

describe('what may be text counts as text', () => {
  test.each<[string, string, object]>([
    ['a text', `{"type":"text","text":"a","image_url":${URL},"url":${URL},"data":${DATA}}`, {}],
    ['a type that is not known', `{"type":"picture","url":${URL}}`, {}],
    ['no type, an image to vLLM', `{"image_url":${URL}}`, { images: 1 }],
    ['no type, and nothing to vLLM either', '{"text":"a","image_url":null}', {}],
    ['a type that is null', `{"type":null,"audio_url":{"url":${URL}}}`, { audios: 1 }],
    ['two types', `{"type":"image_url","type":"text","image_url":${URL}}`, { images: 1 }],
    [
      'two types that are media',
      `{"type":"image","type":"video","url":${URL}}`,
      { images: 1, videos: 1 },
    ],
    ['a type that is no string', `{"type":["image"],"url":${URL}}`, {}],
    ['a key that belongs to another type', `{"type":"image_url","url":${URL}}`, { images: 1 }],
    [
      'a document of plain text',
      `{"type":"document","source":{"type":"text","media_type":"text/plain","data":${DATA}}}`,
      { files: 1 },
    ],
    ['a source without a type', `{"type":"image","source":{"data":${DATA}}}`, { images: 1 }],
    [
      'deeper than where engines look',
      `{"type":"image_url","image_url":{"url":{"url":${URL}}}}`,
      { images: 1 },
    ],
    [
      'the input of a tool call',
      `{"type":"tool_use","input":{"type":"image","url":${URL},"content":[{"type":"image","url":${URL}}]}}`,
      {},
    ],
    [
      'below a part that wraps nothing',
      `{"type":"tool_use","content":[{"type":"image","url":${URL}}]}`,
      { images: 1 },
    ],
    [
      'embeddings, which nothing bounds',
      `{"type":"image_embeds","image_embeds":${DATA}}`,
      { embeddings: 1 },
    ],
    ['a list in the content', `[{"type":"image","url":${URL}}]`, {}],
  ])('%s', (_, part, kinds) => {
    expect(inContent(part)).toEqual(kinds);
  });

  test.each<[string, string]>([
    ['content that is an object', `[{"content":{"type":"image","url":${URL}}}]`],
    ['a part outside of content', `[{"other":[{"type":"image","url":${URL}}]}]`],
    ['a part in place of a message', `[{"type":"image_url","image_url":{"url":${URL}}}]`],
  ])('%s', (_, json) => {
    expect(inMember('messages', json)).toEqual({});
  });

  test('a key given twice adds up', () => {
    expect(inContent(`{"type":"image","url":${URL},"url":${DATA}}`)).toMatchObject({
      payloadBytes: 16,
    });
  });
});

test('an image of a megabyte is seen as one, in whatever pieces it comes', () => {
  const data = 'A'.repeat(1_000_000);
  const body = JSON.stringify({
    messages: [{ content: [{ type: 'image_url', image_url: { url: data } }] }],
  });
  for (const chunkBytes of [1_000, 65_536]) {
    const object = scan(body, { chunkBytes });
    if ('code' in object) throw new Error(object.message);
    expect(found(memberOf(object, 'messages').media)).toEqual({
      images: 1,
      payloadBytes: 1_000_000,
      payloadWrittenBytes: 1_000_000,
    });
  }
});
