"""Applies the concept swap of an alignment to a model of transformers by a forward hook, and checks itself.

The SAE is the one that the server exports for SAELens (`cfg.json` and `sae_weights.safetensors`), read here without
SAELens; the model is the server's own as `from_pretrained` loads it, or any other with the same residual stream. The same
swap is then asked of the server, and both continuations are compared: prints OK, or how they differ (exit status 1).

    pip install torch transformers safetensors
    python3 examples/steer_transformers.py --prompt "The capital of France is" --target language

takes the newest finished alignment of the server at 127.0.0.1:4000, such as one on SmolLM2 (a Llama): import the model,
import a dataset about it, `startAlignmentRun`, and run this. The files of the model (`--model` spares them) and of the
SAE are downloaded to a temporary directory. `--source`, `--alpha`, `--method` and `--placement` say which swap, `--run`
which alignment, `--url` and `--key` which server; --help lists all.
"""
import argparse
import inspect
import json
import sys
import tempfile
import urllib.request
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

RUN = """query ($id: ID!) { node(id: $id) { ... on AlignmentRun {
  layer chosenAlpha settings { positions }
  model { captured { layer } files { name url } }
  saeLens { unavailableReason cfgUrl weightsUrl } } } }"""
NEWEST = (
    "{ runs(first: 1, filter: { kind: [ALIGNMENT], status: [SUCCEEDED] }) { edges { node { id } } } }"
)
SWAP = """mutation ($input: SwapConceptInput!) { swapConcept(input: $input) {
  ... on SwapConceptSuccess { intervention {
    sourceConcept { key } baseline { text tokens { probability } } result { text tokens { probability } } } }
  ... on Error { message } } }"""
# Of probabilities: the same sums in another order, in float32.
TOLERANCE = 2e-3


class Server:
    def __init__(self, url, key):
        self.url, self.key = url.rstrip("/"), key

    def fetch(self, path, body=None):
        headers = {"content-type": "application/json"}
        if self.key:
            headers["authorization"] = f"Bearer {self.key}"
        return urllib.request.urlopen(urllib.request.Request(self.url + path, body, headers))

    def query(self, text, **variables):
        body = json.dumps({"query": text, "variables": variables}).encode()
        with self.fetch("/graphql", body) as response:
            answer = json.load(response)
        if "errors" in answer:
            sys.exit("\n".join(error["message"] for error in answer["errors"]))
        return answer["data"]

    def save(self, url, path):
        with self.fetch(url) as response, path.open("wb") as file:
            while block := response.read(1 << 20):
                file.write(block)


class ExportedSae:
    """The SAE with slots: a slot is the latent at its index less the one that fires where it is negative."""

    def __init__(self, cfg, weights):
        self.architecture = cfg["architecture"]
        self.weights = weights
        self.layer = int(cfg["metadata"]["hook_name"].split(".")[1])
        if cfg["metadata"]["hook_name"].endswith("resid_pre"):
            self.layer -= 1
        self.slots = {slot["concept"]: slot for slot in cfg["metadata"]["alignsae"]["slots"]}

    def encode(self, h):
        pre = h @ self.weights["W_enc"] + self.weights["b_enc"]
        fires = pre > self.weights.get("threshold", 0)
        return torch.relu(pre) * fires

    def decode(self, z):
        return z @ self.weights["W_dec"] + self.weights["b_dec"]

    def slot(self, z, concept):
        slot = self.slots[concept]
        return (z[..., slot["latent"]] - z[..., slot["negativeLatent"]]).item()

    def set_slot(self, z, concept, value):
        slot = self.slots[concept]
        z[..., slot["latent"]] = max(value, 0)
        z[..., slot["negativeLatent"]] = max(-value, 0)

    def swap(self, h, source, target, alpha, method):
        """LATENT_DECODE puts the decoded edit in the place of h; LATENT_DELTA adds only what the edit changes."""
        z = self.encode(h)
        edited = z.clone()
        self.set_slot(edited, source, 0)
        self.set_slot(edited, target, alpha)
        if method == "LATENT_DECODE":
            return self.decode(edited)
        return h + self.decode(edited) - self.decode(z)


def blocks_of(model):
    """The list of the model's blocks, whatever it is called."""
    n = model.config.num_hidden_layers
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == n:
            return module
    sys.exit(f"the model has no list of its {n} blocks")


def hook_last(model, layer, edit):
    """Applies `edit` to the residual stream behind a block (-1: before the first), at the last position of each pass."""
    blocks = blocks_of(model)

    def edited(h):
        h = h.clone()
        h[:, -1] = edit(h[:, -1])
        return h

    if layer < 0:
        return blocks[0].register_forward_pre_hook(lambda _module, args: (edited(args[0]), *args[1:]))

    def behind(_module, _args, output):
        return (edited(output[0]), *output[1:]) if isinstance(output, tuple) else edited(output)

    return blocks[layer].register_forward_hook(behind)


def cache_argument(model):
    """Releases of transformers call it differently."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


@torch.no_grad()
def generate(model, tokenizer, ids, count, edit_at=None):
    """Greedy: the text, and the probability of each token. `edit_at(step)` is the edit of a pass; None leaves it alone."""
    fed, made, probabilities = torch.tensor([ids]), [], []
    cache = {cache_argument(model): DynamicCache(config=model.config)}
    for step in range(count):
        handle = edit_at(step) if edit_at else None
        output = model(fed, **cache, use_cache=True)
        if handle:
            handle.remove()
        likely = torch.softmax(output.logits[0, -1].float(), -1)
        token = int(likely.argmax())
        if token == tokenizer.eos_token_id:
            break
        made.append(token)
        probabilities.append(float(likely[token]))
        fed = torch.tensor([[token]])
    return tokenizer.decode(made, skip_special_tokens=True).strip(), probabilities


def compare(name, own, other):
    """What differs between our continuation and the server's; empty where nothing does."""
    (text, probabilities), theirs = own, [token["probability"] for token in other["tokens"]]
    # Spaces before marks differ between libraries' ways of joining words.
    if text.split() != other["text"].split() and text.replace(" ", "") != other["text"].replace(" ", ""):
        return [f'{name}: "{text}" here, "{other["text"]}" on the server']
    if len(probabilities) != len(theirs):
        return [f"{name}: {len(probabilities)} tokens here, {len(theirs)} on the server"]
    far = max((abs(a - b) for a, b in zip(probabilities, theirs)), default=0)
    return [f"{name}: probabilities differ by up to {far:.2e}"] if far > TOLERANCE else []


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--url", default="http://127.0.0.1:4000", help="the server")
    parser.add_argument("--key", help="an API key with the scopes READ and RUN")
    parser.add_argument("--run", help="id of an alignment run; the newest if left out")
    parser.add_argument("--model", help="directory or repository of a model; the run's own if left out")
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--source", help="key of the concept asked about; the strongest slot if left out")
    parser.add_argument("--target", required=True, help="key of the concept that is answered instead")
    parser.add_argument("--alpha", type=float, help="the run's chosen alpha if left out")
    parser.add_argument("--method", default="LATENT_DECODE", choices=["LATENT_DECODE", "LATENT_DELTA"])
    parser.add_argument("--placement", choices=["LAST_TOKEN", "ANSWER"], help="that of the run if left out")
    parser.add_argument("--tokens", type=int, default=12, help="how many to generate at most")
    parser.add_argument("--no-check", action="store_true", help="do not ask the server for the same swap")
    return parser.parse_args()


def load(server, run, given, directory):
    """Model, tokenizer and SAE, downloaded where they are the server's."""
    if run["saeLens"]["unavailableReason"]:
        sys.exit(f"the SAE cannot be exported: {run['saeLens']['unavailableReason']}")
    server.save(run["saeLens"]["cfgUrl"], directory / "cfg.json")
    server.save(run["saeLens"]["weightsUrl"], directory / "sae.safetensors")
    cfg = json.loads((directory / "cfg.json").read_text())
    sae = ExportedSae(cfg, load_file(directory / "sae.safetensors"))
    if not given:
        if run["model"]["captured"]:
            sys.exit("the run's model has no weights on the server; name the model with --model")
        given = directory / "model"
        given.mkdir()
        for file in run["model"]["files"]:
            server.save(file["url"], given / file["name"])
    model = AutoModelForCausalLM.from_pretrained(given).float().eval()
    return model, AutoTokenizer.from_pretrained(given), sae


def main():
    args = parse_arguments()
    server = Server(args.url, args.key)
    if not args.run:
        edges = server.query(NEWEST)["runs"]["edges"]
        args.run = edges[0]["node"]["id"] if edges else sys.exit("the server has no finished alignment")
    run = server.query(RUN, id=args.run)["node"] or sys.exit(f"there is no alignment run {args.run}")
    alpha = args.alpha if args.alpha is not None else run["chosenAlpha"] or 1.0
    placement = args.placement or run["settings"]["positions"]
    with tempfile.TemporaryDirectory() as directory:
        model, tokenizer, sae = load(server, run, args.model, Path(directory))
    for concept in filter(None, [args.source, args.target]):
        if concept not in sae.slots:
            sys.exit(f"there is no slot {concept}; there are {', '.join(sae.slots)}")
    ids = tokenizer(args.prompt, add_special_tokens=False)["input_ids"]
    source = args.source or strongest_slot(model, tokenizer, sae, ids, args.target)

    def edit_at(step):
        if step > 0 and placement == "LAST_TOKEN":
            return None
        # Behind the prompt a slot counts as it is bound: 1.
        strength = alpha if step == 0 else 1.0
        return hook_last(model, sae.layer, lambda h: sae.swap(h, source, args.target, strength, args.method))

    baseline = generate(model, tokenizer, ids, args.tokens)
    result = generate(model, tokenizer, ids, args.tokens, edit_at)
    print(f"{source} -> {args.target}, alpha {alpha}, {args.method} behind block {sae.layer}, at {placement}")
    print(f"without: {baseline[0]}\nwith:    {result[0]}")
    if args.no_check:
        return
    asked = {"runId": args.run, "prompt": args.prompt, "targetConcept": args.target, "alpha": alpha}
    asked |= {"method": args.method, "placement": placement, "maxNewTokens": args.tokens}
    asked |= {"sourceConcept": args.source} if args.source else {}
    answer = server.query(SWAP, input=asked)["swapConcept"]
    if "intervention" not in answer:
        sys.exit(answer["message"])
    theirs = answer["intervention"]
    differences = compare("without the swap", baseline, theirs["baseline"])
    differences += compare("with the swap", result, theirs["result"])
    if theirs["sourceConcept"]["key"] != source:
        differences.append(f"source: {source} here, {theirs['sourceConcept']['key']} on the server")
    if differences:
        sys.exit("DIFFERENT from the server\n" + "\n".join(differences))
    print("OK: the server says the same")


def strongest_slot(model, tokenizer, sae, ids, target):
    """As the server chooses: the strongest slot at the last prompt token."""
    seen = []

    def look(h):
        seen.append(sae.encode(h))
        return h

    generate(model, tokenizer, ids, 1, lambda _step: hook_last(model, sae.layer, look))
    strongest = max(sae.slots, key=lambda concept: sae.slot(seen[0], concept))
    return strongest if strongest != target else sys.exit(f"the prompt asks about {target} already")


if __name__ == "__main__":
    main()
