"""The verb `evaluate`: a sub-verb a task, each in a module of its own."""

from __future__ import annotations

from features.verbs import group_of_verbs
from training.evaluating.next_purchase_cli import next_purchase
from training.evaluating.response_cli import response
from training.evaluating.segments_cli import segments

evaluate = group_of_verbs("How good ours is beside what you would pick instead: next-purchase, segments, response.")

evaluate.command("next-purchase")(next_purchase)
evaluate.command("response")(response)
evaluate.command("segments")(segments)
