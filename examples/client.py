"""A client in Python, standard library only: swaps a concept on the newest alignment and follows a run over SSE.

python3 examples/client.py http://127.0.0.1:4000/graphql [API key]
"""
import http.client
import json
import sys
import time
import urllib.error
import urllib.request

ENDPOINT = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:4000/graphql"
KEY = sys.argv[2] if len(sys.argv) > 2 else None


def post(query, variables, accept):
    headers = {"content-type": "application/json", "accept": accept}
    if KEY:
        headers["authorization"] = f"Bearer {KEY}"
    body = json.dumps({"query": query, "variables": variables}).encode()
    # A stream says something every 12 seconds; a mutation may wait for the engine.
    timeout = 30 if accept == "text/event-stream" else None
    return urllib.request.urlopen(urllib.request.Request(ENDPOINT, body, headers), timeout=timeout)


def query(text, **variables):
    with post(text, variables, "application/json") as response:
        answer = json.load(response)
    if "errors" in answer:
        raise RuntimeError("\n".join(error["message"] for error in answer["errors"]))
    return answer["data"]


def follow(text, **variables):
    """Yields the item of each event once, through any number of cuts, until the server completes the subscription."""
    while True:
        try:
            with post(text, variables, "text/event-stream") as response:
                for line in response:
                    if line.startswith(b"event: complete"):
                        return
                    if line.startswith(b"data: {") and line.endswith(b"\n"):  # else it was cut
                        result = json.loads(line[6:])
                        error = result.get("errors", [None])[0]
                        if error and error.get("extensions", {}).get("code") == "UNAVAILABLE":
                            break
                        if error:
                            raise RuntimeError(error["message"])
                        (item,) = result["data"].values()
                        variables["after"] = item["cursor"]
                        yield item
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise RuntimeError(error.read().decode()) from error
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.5)


runs = query("{ runs(first: 1, filter: { kind: [ALIGNMENT], status: [SUCCEEDED] }) { edges { node { id } } } }")
if not runs["runs"]["edges"]:
    sys.exit("The server has no finished alignment yet; `npm run demo` makes some.")
run_id = runs["runs"]["edges"][0]["node"]["id"]

run = query(
    """query ($id: ID!) { run(id: $id) { ... on AlignmentRun {
         dataset { ontology { concepts { key } } examples(first: 1, split: TEST_OOD) { edges { node { id } } } } } } }""",
    id=run_id,
)["run"]
example = run["dataset"]["examples"]["edges"][0]["node"]["id"]
target = run["dataset"]["ontology"]["concepts"][-1]["key"]
swap = query(
    """mutation ($input: SwapConceptInput!) { swapConcept(input: $input) {
         ... on SwapConceptSuccess { intervention { prompt expectedAnswer success baseline { text } result { text } } }
         ... on Error { message } } }""",
    input={"runId": run_id, "exampleId": example, "targetConcept": target},
)
print(json.dumps(swap, indent=2))

events = """subscription ($id: ID!, $after: String) {
  runEvents(id: $id, after: $after) { cursor event { ... on MetricsLogged { step } } } }"""
print(sum(1 for _ in follow(events, id=run_id)), "events, delivered in order")
