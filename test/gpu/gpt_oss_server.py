"""A transformers server that tells what each generation took of the GPU.

gpt-oss of random weights in its real geometry: what is measured are shapes, not
words. One generation at a time, by `generate`, as `transformers serve` does it.

  GET  /about             the device, the versions, and how attention is computed
  POST /measure           {"promptTokens": n, "outputTokens": m} -> bytes, see measure()

Prints "listening" once it serves. Without a GPU (`--device cpu`) it runs the same
way and every figure is null, so that the script can be tried anywhere.
"""

import argparse
import json
from http.server import BaseHTTPRequestHandler, HTTPServer

import torch
import transformers
from transformers import AutoModelForCausalLM, GptOssConfig, StoppingCriteria

# The first that can be had here is taken; the second needs no kernel from a hub.
FLASH = ["kernels-community/vllm-flash-attn3", "flex_attention"]


class Steps(StoppingCriteria):
    """Called after each step: the first call ends the prefill, the last two see steady decoding."""

    def __init__(self, meter):
        self.meter = meter
        self.steps = 0
        self.prefill_peak = None
        self.held = None

    def __call__(self, input_ids, scores, **_):
        self.steps += 1
        if self.steps == 1:
            self.prefill_peak = self.meter.peak()
            self.meter.reset()
        else:
            self.held = self.meter.allocated()
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


class Meter:
    def __init__(self, device):
        self.counts = device == "cuda"

    def allocated(self):
        return torch.cuda.memory_allocated() if self.counts else None

    def reserved(self):
        return torch.cuda.memory_reserved() if self.counts else None

    def peak(self):
        return torch.cuda.max_memory_allocated() if self.counts else None

    def reset(self):
        if self.counts:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()

    def forget(self):
        if self.counts:
            torch.cuda.empty_cache()
        self.reset()


class Subject:
    def __init__(self, args):
        self.device = args.device
        self.meter = Meter(args.device)
        with open(args.config, encoding="utf-8") as file:
            self.config = GptOssConfig(**json.load(file))
        self.config.eos_token_id = None
        self.model, self.attention = self.load(args.attention)

    def load(self, attention):
        names = ["eager"] if attention == "eager" else FLASH
        refusals = []
        for name in names:
            try:
                torch.set_default_dtype(torch.bfloat16)
                with torch.device(self.device):
                    model = AutoModelForCausalLM.from_config(
                        self.config, attn_implementation=name
                    )
                return model.eval(), name
            except (ImportError, OSError, ValueError) as error:
                refusals.append(f"{name}: {error}")
        raise SystemExit("no attention of this kind here: " + "; ".join(refusals))

    def about(self):
        on_gpu = self.meter.counts
        return {
            "device": torch.cuda.get_device_name() if on_gpu else "cpu",
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "cuda": torch.version.cuda,
            "attention": self.attention,
            "vocabSize": self.config.vocab_size,
        }

    @torch.inference_mode()
    def measure(self, prompt_tokens, output_tokens):
        """Bytes above the idle server: at the peak of prefill, held while decoding, at the peak of decoding."""
        meter = self.meter
        meter.forget()
        idle = meter.allocated()
        ids = torch.randint(0, self.config.vocab_size, (1, prompt_tokens), device=self.device)
        steps = Steps(meter)
        out = self.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=output_tokens,
            do_sample=False,
            pad_token_id=0,
            stopping_criteria=[steps],
        )
        produced = out.shape[1] - prompt_tokens
        above = lambda figure: None if figure is None else figure - idle
        result = {
            "outputTokens": produced,
            "idleBytes": idle,
            "prefillPeakBytes": above(steps.prefill_peak),
            "heldBytes": above(steps.held),
            "decodePeakBytes": above(meter.peak()),
            "reservedBytes": meter.reserved(),
        }
        del out, ids
        return result


def first_line(error):
    return str(error).split("\n")[0][:500]


def handler_for(subject):
    class Handler(BaseHTTPRequestHandler):
        def answer(self, status, value):
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.answer(200, subject.about())

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            try:
                self.answer(200, subject.measure(asked["promptTokens"], asked["outputTokens"]))
            except torch.cuda.OutOfMemoryError as error:
                self.answer(507, {"error": first_line(error)})
            except Exception as error:  # whatever it is, the script has to be told
                self.answer(500, {"error": first_line(error)})

        def log_message(self, *_):
            pass

    return Handler


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--attention", choices=["eager", "flash"], required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    server = HTTPServer(("127.0.0.1", args.port), handler_for(Subject(args)))
    print("listening", flush=True)
    server.serve_forever()


main()
