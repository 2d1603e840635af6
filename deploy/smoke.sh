#!/usr/bin/env bash
# Asks a running server of TensorFlow Serving's REST protocol, and compares with what the SavedModel answers here.
#
#     deploy/smoke.sh http://127.0.0.1:8501/v1/models/sentiment models/sentiment/1 "A joy." "Ein 北京 text"
#
# For models whose only column is `text`. Ends with an error unless labels are equal and scores differ by less than 1e-4.
set -euo pipefail
url=$1 saved_model=$2
shift 2
request=$(python -c 'import json, sys; print(json.dumps({"instances": [{"text": text} for text in sys.argv[1:]]}))' "$@")
curl --silent --show-error --fail --data "$request" "$url:predict" | python -c '
import json, sys
import keras_bert_scratch as kbs

theirs = json.load(sys.stdin)["predictions"]
ours = kbs.predict(sys.argv[1], {"text": sys.argv[2:]})
for text, one, other in zip(sys.argv[2:], ours, theirs, strict=True):
    differences = [abs(a - b) for a, b in zip(one["scores"].values(), other["scores"], strict=True)]
    fine = one["label"] == other["label"] and max(differences) < 1e-4
    print("same" if fine else "DIFFERENT", one["label"], other["label"], f"{max(differences):.1e}", text, sep="\t")
    if not fine:
        sys.exit(1)
' "$saved_model" "$@"
