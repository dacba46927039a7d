import pytest

from paw_bench.config.schema import ContextConfig, PromptConfig
from paw_bench.errors import UserError
from paw_bench.rollout.codec import TurnCodec
from paw_bench.rollout.episode import Episode, Source
from paw_bench.rollout.prompts import Dialogue
from paw_bench.rollout.rows import rows_of
from paw_bench.warm_start.tokenizer import ASSISTANT, END, ONE_WORD_COMMANDS, USER, build_tokenizer

OPENING = "You are in a room.\n\nYour task is to: put a apple in fridge."
OBSERVATION = "You arrive at shelf 1. On the shelf 1, you see a apple 2."
COMPACT = PromptConfig(style="compact", admissible=True)


@pytest.fixture(scope="module")
def tokenizer():
    texts = [OPENING, OBSERVATION, "go to shelf 1", "take apple 2 from shelf 1", "You pick up the apple 2."]
    return build_tokenizer(texts, {"shelf": 3, "fridge": 1}, size=450)


@pytest.fixture
def codec(tokenizer) -> TurnCodec:
    return TurnCodec(tokenizer, COMPACT, ContextConfig(mode="window", turns=2))


@pytest.mark.parametrize("text", [OBSERVATION, "Héllo «wörld»", "日本 \t tab", "look  twice", "> ;\n\n. , 7x"])
def test_the_tokenizer_gives_back_any_text(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


@pytest.mark.parametrize("command", ["go to shelf 1", "take apple 2 from shelf 1", *ONE_WORD_COMMANDS])
def test_no_token_spans_a_command(tokenizer, command):
    assert len(tokenizer.encode(command, add_special_tokens=False)) > 1


def test_a_place_is_one_token_even_when_it_was_never_seen(tokenizer):
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode("go to shelf 3")) == ["go to", " shelf 3"]


def test_glue_is_read_off_the_chat_template(codec, tokenizer):
    tokens = tokenizer.convert_ids_to_tokens
    assert tokens(codec.separator(ended=True)) == [USER]
    assert tokens(codec.separator(ended=False)) == [END, USER]
    opening = tokens(codec.turn_opening(Dialogue(OPENING, ("go to shelf 1", "open fridge 1"))))
    assert opening[-3:] == [" fridge 1", END, ASSISTANT]


def test_a_tokenizer_without_chat_template_is_refused(tokenizer):
    template, tokenizer.chat_template = tokenizer.chat_template, None
    try:
        with pytest.raises(UserError, match="no chat template"):
            TurnCodec(tokenizer, COMPACT, ContextConfig())
    finally:
        tokenizer.chat_template = template


def test_a_full_row_tells_the_conversation_as_the_template_would(codec, tokenizer):
    dialogue = Dialogue(OPENING, ("go to shelf 1",))
    prompt = codec.opening_ids(dialogue)
    first = codec.told_turn(prompt, "go to shelf 1", OBSERVATION)
    dialogue.answer("go to shelf 1", OBSERVATION, ("take apple 2 from shelf 1",))
    told = prompt + first.action_ids + first.separator_ids + first.observation_ids + codec.turn_opening(dialogue)
    second = codec.told_turn(told, "take apple 2 from shelf 1", "You pick up the apple 2.")
    episode = Episode("game", "pick", 0, 0, 0, turns=[first, second])
    (row,) = rows_of([episode], "full")
    assert tokenizer.decode(row.prompt_ids + row.completion_ids) == (
        f"{USER}put a apple in fridge\ngo to shelf 1\nYou are in a room.\n{END}{ASSISTANT}"
        f"go to shelf 1{END}{USER}{OBSERVATION}\ntake apple 2{END}{ASSISTANT}"
        f"take apple 2 from shelf 1{END}{USER}You pick up the apple 2."
    )

    def text_of(source: Source) -> str:
        return tokenizer.decode([i for i, s in zip(row.completion_ids, row.sources, strict=True) if s == source])

    assert text_of(Source.ACTION) == f"go to shelf 1{END}take apple 2 from shelf 1{END}"
    assert text_of(Source.OBSERVATION) == f"{OBSERVATION}You pick up the apple 2."
    assert row.segments == sorted(row.segments)


def test_windowed_rows_are_sorted_and_end_in_their_own_observation(codec):
    def episode(group: int, index: int) -> Episode:
        turns = [codec.told_turn([5, 6], f"go to shelf {number}", OBSERVATION) for number in (1, 2)]
        for turn in turns:
            turn.action_logprobs = [-0.5] * len(turn.action_ids)
        return Episode(f"game {group}", "pick", group, index, 0, turns=turns)

    rows = rows_of([episode(1, 0), episode(0, 1), episode(0, 0)], "window")
    assert [(row.group, row.episode, row.turn) for row in rows] == [
        (0, 0, 0),
        (0, 0, 1),
        (0, 1, 0),
        (0, 1, 1),
        (1, 2, 0),
        (1, 2, 1),
    ]
    assert codec.decode([rows[0].completion_ids[-1]]) == "."
    assert rows[0].sources[-1] == Source.OBSERVATION
    assert rows[0].logprobs[:2] == [-0.5, -0.5]
    assert rows[0].logprobs[-1] == 0.0
