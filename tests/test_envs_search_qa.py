import json
import time

import pytest
from envs_play import config_of, oracle, play

from paw_bench.config.schema import PromptConfig
from paw_bench.envs.definition import definition
from paw_bench.envs.panels import load_panels
from paw_bench.envs.search_qa import definition as module
from paw_bench.envs.search_qa.environment import REFUSED
from paw_bench.envs.search_qa.files import BENCHMARKS
from paw_bench.envs.search_qa.generator import KINDS, generate
from paw_bench.envs.search_qa.library import normalised
from paw_bench.errors import ConfigError, UserError
from paw_bench.rollout.prompts import Dialogue, action_of, opening_prompt

CONFIG = config_of("search_qa", 4, documents=2000)


@pytest.fixture(scope="module")
def tasks():
    return load_panels(CONFIG)["test"].tasks


@pytest.fixture
def environment():
    return definition("search_qa").make(CONFIG)


@pytest.mark.parametrize(
    ("said", "same"),
    [("The  Lubran!", "lubran"), ("a U.S.A. city", "usa city"), ("An answer, the", "answer"), ("theatre", "theatre")],
)
def test_answers_are_compared_as_the_field_does(said, same):
    assert normalised(said) == same


def test_every_hop_is_found_by_its_query_and_the_last_holds_the_answer():
    library = generate(0, 300)
    from paw_bench.envs.search_qa.environment import Desk

    desk = Desk(library, 3)
    for panel in library.questions.values():
        for question in panel:
            shown = [desk.search(hop.lower()) for hop in question.hops]
            assert all(f"(Title: {hop})" in text for hop, text in zip(question.hops, shown, strict=True))
            assert question.answers[0].lower() in shown[-1].lower() or question.kind == "comparison"


def test_people_asked_about_are_divided_between_the_panels():
    library = generate(0, 300)
    people = {panel: {question.hops[0] for question in own} for panel, own in library.questions.items()}
    assert not people["train"] & people["test"]
    assert not people["tune"] & (people["train"] | people["test"])
    assert all({question.kind for question in own} == set(KINDS) for own in library.questions.values())
    assert generate(1, 300).digest != library.digest


def test_one_search_answers_one_hop_and_not_more(environment, tasks):
    """Searching the question and reading the first documents: the answer is there for one hop, seldom for three."""
    library = generate(0, 2000)
    answers = {question.name: question.answers[0].lower() for question in library.questions["test"]}

    def share(kind):
        own = [question for question in library.questions["test"] if question.kind == kind][:60]
        desk = environment._desk
        return sum(answers[question.name] in desk.search(question.text.lower()).lower() for question in own) / len(own)

    assert share("one hop") > 0.9
    assert share("three hops") < 0.3


def test_searches_show_documents_and_an_answer_ends_the_episode(environment, tasks):
    opening = environment.reset(tasks[0], 0)
    assert "Your question is: " in opening.observation
    shown = environment.step("search[who was born in a city]")
    assert shown.observation.startswith("<information>\nDoc 1 (Title: ")
    assert shown.observation.endswith("\n</information>")
    assert shown.observation.count("(Title: ") == 3
    assert "Nothing was found." in environment.step("search[xyzzy]").observation
    wrong = environment.step("answer[nobody]")
    assert (wrong.done, wrong.success, wrong.score, wrong.observation) == (True, False, 0.0, "Wrong.")


def test_four_turns_are_all_and_the_last_may_be_the_answer(environment, tasks):
    told = play(environment, next(task for task in tasks if task.task_type == "three hops"), oracle(CONFIG))
    assert len(told) - 1 == 4
    environment.reset(tasks[0], 0)
    results = [environment.step(action) for action in ("search[a b]", "look", "search", "search[c]")]
    assert [result.done for result in results] == [False, False, False, True]
    assert results[1].observation == results[2].observation == REFUSED


def test_replies_carry_the_tags_of_the_protocol():
    chat, words = PromptConfig(style="chat"), definition("search_qa").words
    assert action_of("<think>x</think> <search> Who? </search>", chat, words) == ("search[who?]", True)
    assert action_of("<think>x</think><answer>Lubran</answer>", chat, words) == ("answer[lubran]", True)
    assert action_of("<answer>Lubran</answer>", chat, words)[1] is False
    assert action_of("<think>x</think><action>look</action>", chat, words)[1] is False
    prompt = opening_prompt(Dialogue("A search box is open.\n\nYour question is: Who?", ("a",), words=words), chat)
    assert "Your question is: Who?" in prompt
    assert "<search> </search>" in prompt
    assert "admissible" not in prompt


def test_three_thousand_new_searches_a_second(environment, tasks):
    began, steps = time.process_time(), 0
    while steps < 4000:
        for number, task in enumerate(tasks):
            environment.reset(task, 0)
            for turn in range(3):
                environment.step(f"search[{task.task_id.replace('-', ' ')} born city {number % 7} {turn}]")
                steps += 1
    assert steps / (time.process_time() - began) > 3_000


DATA = config_of("search_qa", 4, source="data", train=30, tune=1, test=4)


@pytest.fixture
def own(tmp_path, monkeypatch):
    module._library.cache_clear()
    documents = [
        {"title": "Paris", "text": "Paris is the capital of France."},
        {"contents": '"Rome"\nRome is in Italy.'},
    ]
    train = [{"question": f"What is {n}?", "answer": str(n)} for n in range(60)]
    files = {"corpus": documents, "train": train}
    files["nq"] = [{"id": "1", "question": "capital of  France?", "golden_answers": ["Paris", "paris city"]}]
    files["hotpotqa"] = [{"question": f"Rome {n}?", "answers": ["Italy"]} for n in range(3)]
    for name, lines in files.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "\n")
    monkeypatch.setenv("SEARCH_QA_DATA", str(tmp_path))
    yield tmp_path
    module._library.cache_clear()
    module._desk.cache_clear()


def test_own_files_are_played_and_the_data_sets_are_the_task_types(own):
    panels = load_panels(DATA)
    assert [task.task_type for task in panels["test"].tasks] == ["nq", "hotpotqa", "hotpotqa", "hotpotqa"]
    assert not {task.task_id for task in panels["train"].tasks} & {task.task_id for task in panels["tune"].tasks}
    environment = definition("search_qa").make(DATA)
    environment.reset(panels["test"].tasks[0], 0)
    assert "Doc 1 (Title: Paris) Paris is the capital of France." in environment.step("search[france]").observation
    assert environment.step("answer[The PARIS.]").success
    assert play(environment, panels["test"].tasks[1], oracle(DATA))[-1][1].success


def test_all_seven_data_sets_are_known(own):
    for name in BENCHMARKS:
        (own / f"{name}.jsonl").write_text(json.dumps({"question": f"q {name}?", "answer": "a"}))
    panels = load_panels(config_of("search_qa", 4, source="data", train=30, tune=1, test=7))
    assert [task.task_type for task in panels["test"].tasks] == list(BENCHMARKS)


def test_what_is_missing_or_broken_is_named_with_its_line(own, monkeypatch):
    kind = definition("search_qa")
    assert kind.missing(DATA) is None
    with pytest.raises(ConfigError, match=r"options.test.*only 4 questions"):
        load_panels(config_of("search_qa", 4, source="data", train=30, tune=1, test=5))
    module._library.cache_clear()
    (own / "nq.jsonl").write_text('{"question": "q", "answer": "a"}\n{"question": "q"}\n')
    with pytest.raises(UserError, match=r"nq.jsonl:2: is not as expected"):
        load_panels(DATA)
    (own / "corpus.jsonl").unlink()
    assert "lacks corpus.jsonl" in kind.missing(DATA).found
    with pytest.raises(UserError, match=r"lacks corpus.jsonl"):
        load_panels(DATA)
    monkeypatch.delenv("SEARCH_QA_DATA")
    assert "$SEARCH_QA_DATA is not set" in kind.missing(DATA).found


def test_only_the_kinds_asked_for_are_in_the_panels():
    config = config_of("search_qa", 4, documents=300, kinds=["one hop", "comparison"])
    for panel in load_panels(config).values():
        assert {task.task_type for task in panel.tasks} == {"one hop", "comparison"}


def test_every_kind_has_a_name_that_can_be_asked_for():
    assert tuple(module.SearchQaOptions().kinds) == KINDS
