import pytest

from paw_bench.config.schema import PromptConfig
from paw_bench.rollout.prompts import (
    Dialogue,
    action_of,
    admissible_suffix,
    grouped_by_verb,
    opening_prompt,
    window_prompt,
)

OPENING = (
    "You are in the middle of a room. Looking quickly around you, you see a fridge 1, and a shelf 1.\n\n"
    "Your task is to: put a clean apple in fridge."
)
COMPACT = PromptConfig(style="compact", admissible=True)
CHAT = PromptConfig(style="chat", admissible=True)


@pytest.fixture
def dialogue() -> Dialogue:
    told = Dialogue(OPENING, ("go to fridge 1", "go to shelf 1", "inventory", "look"))
    told.answer(
        "go to shelf 1", "You arrive at shelf 1. On the shelf 1, you see a apple 2.", ("go to fridge 1", "look")
    )
    told.answer("take apple 2 from shelf 1", "You pick up the apple 2 from the shelf 1.", ("go to fridge 1", "look"))
    told.answer("go to fridge 1", "You arrive at fridge 1. The fridge 1 is closed.", ("go to shelf 1", "open fridge 1"))
    return told


def test_task_and_room_are_read_from_the_opening(dialogue):
    assert dialogue.task == "put a clean apple in fridge"
    assert dialogue.room.endswith("a fridge 1, and a shelf 1.")


def test_compact_window_holds_the_last_turns_and_the_grouped_actions(dialogue):
    assert window_prompt(dialogue, COMPACT, 2).split("\n") == [
        "put a clean apple in fridge",
        "go to fridge 1 shelf 1",
        "You arrive at shelf 1. On the shelf 1, you see a apple 2.",
        "> take apple 2 from shelf 1",
        "You pick up the apple 2 from the shelf 1.",
        "> go to fridge 1",
        "You arrive at fridge 1. The fridge 1 is closed.",
        "open fridge 1",
    ]


def test_a_window_of_no_turns_is_the_current_observation(dialogue):
    lines = window_prompt(dialogue, COMPACT, 0).split("\n")
    assert lines[1:3] == ["go to fridge 1 shelf 1", "You arrive at fridge 1. The fridge 1 is closed."]
    assert len(lines) == 4


def test_without_the_list_of_actions_the_room_is_told_in_full():
    prompt = opening_prompt(Dialogue(OPENING, ("go to fridge 1",)), PromptConfig(style="compact", admissible=False))
    assert "a fridge 1, and a shelf 1." in prompt


def test_chat_prompt_counts_steps_and_numbers_the_window(dialogue):
    text = window_prompt(dialogue, CHAT, 2)
    assert "already taken 3 step(s)" in text
    assert (
        "[Observation 2: 'You arrive at shelf 1. On the shelf 1, you see a apple 2.', Action 2: 'take apple 2" in text
    )
    assert "Observation 1:" not in text
    assert "You are now at step 4" in text
    assert "['go to shelf 1', 'open fridge 1']" in text


def test_actions_at_a_place_are_grouped_by_verb_without_what_is_always_possible():
    actions = ("go to shelf 1", "help", "inventory", "look", "take cd 1 from desk 1", "take pen 2 from desk 1")
    assert grouped_by_verb(actions) == "take cd 1 pen 2"


@pytest.mark.parametrize(
    ("reply", "action", "formed"),
    [
        ("<think>hm</think><action>Go to shelf 1</action>", "go to shelf 1", True),
        ("<think>a\nb</think>\n<action> open fridge 1 </action>", "open fridge 1", True),
        ("<action>open fridge 1</action>", "n>open fridge 1</action>"[-30:], False),
        ("go to shelf 1", "go to shelf 1", False),
    ],
)
def test_chat_replies_need_both_tags(reply, action, formed):
    found, well_formed = action_of(reply, CHAT)
    assert well_formed is formed
    assert found.endswith(action)


def test_suffix_of_a_full_context_is_empty_without_the_list(dialogue):
    assert admissible_suffix(dialogue, PromptConfig(style="compact", admissible=False)) == ""
    assert admissible_suffix(dialogue, COMPACT) == "\nopen fridge 1"
