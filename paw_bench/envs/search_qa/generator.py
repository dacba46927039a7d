"""A library about a world that does not exist, made from a seed: no model can know the answers by heart.

Each person, city, company and country has a document that names its neighbours, so that a question about a person
takes one to three searches. People are divided between the panels: no question of one is about a person of another.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from paw_bench.envs.search_qa.library import Document, Library, Question

VERSION = 1
"""Counted up whenever the same seed gives another library."""
KINDS = ("one hop", "two hops", "three hops", "comparison")
FIRST = (
    "ba",
    "co",
    "de",
    "fi",
    "ga",
    "hu",
    "jo",
    "ke",
    "lu",
    "ma",
    "ni",
    "or",
    "pa",
    "ri",
    "se",
    "ta",
    "ul",
    "ve",
    "zo",
)
LAST = (
    "bran",
    "crest",
    "dor",
    "fell",
    "grim",
    "holt",
    "kar",
    "lund",
    "mont",
    "ner",
    "quist",
    "rov",
    "stad",
    "tor",
    "wick",
)
"""A name is some syllables of the first and one of the second kind."""
_JOBS = ("botanist", "violinist", "architect", "judge", "glass maker", "surveyor", "novelist", "chess master", "diver")
_GOODS = ("clocks", "ceramic tiles", "sailing boats", "optical lenses", "paper", "bicycles", "tea", "wool coats")


@dataclass(frozen=True, slots=True)
class _Country:
    name: str
    capital: str
    river: str


@dataclass(frozen=True, slots=True)
class _City:
    name: str
    country: _Country


@dataclass(frozen=True, slots=True)
class _Company:
    name: str
    city: _City


@dataclass(frozen=True, slots=True)
class _Person:
    name: str
    born: int
    city: _City
    company: _Company


def panel_of(person: int) -> str:
    """The panel that asks about the `person`-th person: of ten, seven are for train, one for tune, two for test."""
    return ("test", "test", "tune", *["train"] * 7)[person % 10]


def generate(seed: int, documents: int) -> Library:
    """A library of `documents` documents with every question that its panels have."""
    rng = random.Random(f"search_qa/{VERSION}/{seed}")
    name = _namer(rng)
    countries = [_Country(name(), name(), f"the {name()}") for _ in range(max(4, documents // 40))]
    cities = [_City(country.capital, country) for country in countries]
    cities += [_City(name(), rng.choice(countries)) for _ in range(documents // 8)]
    companies = [_Company(f"{name()} Works", rng.choice(cities)) for _ in range(documents // 8)]
    people = [
        _Person(f"{name()} {name()}", rng.randint(1850, 1990), rng.choice(cities), rng.choice(companies))
        for _ in range(max(20, documents - len(countries) - len(cities) - len(companies)))
    ]
    told = [_of_country(rng, country) for country in countries]
    told += [_of_city(rng, city) for city in cities]
    told += [_of_company(rng, company) for company in companies]
    told += [_of_person(rng, person, rng.choice(people)) for person in people]
    rng.shuffle(told)
    digest = hashlib.sha256("\n".join(f"{document.title}\t{document.text}" for document in told).encode()).hexdigest()
    return Library(tuple(told), _questions(rng, people), digest)


def _namer(rng: random.Random) -> Callable[[], str]:
    used: set[str] = set()

    def name() -> str:
        made, length = "", 1
        while not made or made in used:
            # Short names run out as they are used.
            made, length = "".join(rng.choices(FIRST, k=length)) + rng.choice(LAST), min(length + 1, 6)
        used.add(made)
        return made.capitalize()

    return name


def _of_country(rng: random.Random, country: _Country) -> Document:
    text = rng.choice(
        (
            f"{country.name} is a country. Its capital is {country.capital}, and its longest river is {country.river}.",
            f"The country of {country.name} is governed from {country.capital}. It is {country.river} that "
            "flows through it.",
        )
    )
    return Document(country.name, f"{text} It became independent in {rng.randint(1700, 1960)}.")


def _of_city(rng: random.Random, city: _City) -> Document:
    text = rng.choice(
        (
            f"{city.name} is a city in {city.country.name}. It was founded in {rng.randint(900, 1800)}.",
            f"With {rng.randint(20, 900)},000 people, {city.name} is among the larger cities of {city.country.name}.",
        )
    )
    return Document(city.name, text)


def _of_company(rng: random.Random, company: _Company) -> Document:
    goods = rng.choice(_GOODS)
    text = rng.choice(
        (
            f"{company.name} makes {goods}. The company is based in {company.city.name}.",
            f"From its seat in {company.city.name}, the company {company.name} has sold {goods} since "
            f"{rng.randint(1850, 1990)}.",
        )
    )
    return Document(company.name, text)


def _of_person(rng: random.Random, person: _Person, friend: _Person) -> Document:
    job = rng.choice(_JOBS)
    text = rng.choice(
        (
            f"{person.name} (born {person.born} in {person.city.name}) is a {job} who works for {person.company.name}.",
            f"{person.name} is a {job}. Born in {person.city.name} in {person.born}, {person.name} is employed by "
            f"{person.company.name}.",
        )
    )
    return Document(person.name, f"{text} A friend since school days is {friend.name}.")


def _questions(rng: random.Random, people: list[_Person]) -> Mapping[str, tuple[Question, ...]]:
    by_panel: dict[str, list[_Person]] = {"train": [], "tune": [], "test": []}
    for number, person in enumerate(people):
        by_panel[panel_of(number)].append(person)
    return {
        panel: tuple(
            _question(rng, f"{panel}-{kind.replace(' ', '-')}-{number:05d}", kind, person, own)
            for number, person in enumerate(own)
            for kind in KINDS
        )
        for panel, own in by_panel.items()
    }


def _question(rng: random.Random, name: str, kind: str, person: _Person, people: list[_Person]) -> Question:
    home, work = person.city, person.company.city
    if kind == "comparison":
        other = rng.choice([one for one in people if one.born != person.born])
        pair = [person, other] if rng.random() < 0.5 else [other, person]
        answer = min(pair, key=lambda one: one.born).name
        text = f"Who was born earlier, {pair[0].name} or {pair[1].name}?"
        return Question(name, kind, text, (answer,), (person.name, other.name))
    at_home, at_work = (person.name, home.name), (person.name, person.company.name)
    choices = {
        "one hop": (
            (f"In which city was {person.name} born?", home.name, at_home[:1]),
            (f"For which company does {person.name} work?", person.company.name, at_home[:1]),
        ),
        "two hops": (
            (f"In which country was {person.name} born?", home.country.name, at_home),
            (f"In which city is the company based that {person.name} works for?", work.name, at_work),
        ),
        "three hops": (
            (
                f"What is the capital of the country where {person.name} was born?",
                home.country.capital,
                (*at_home, home.country.name),
            ),
            (
                f"In which country is the company based that {person.name} works for?",
                work.country.name,
                (*at_work, work.name),
            ),
            (
                f"Which river flows through the country where {person.name} was born?",
                home.country.river,
                (*at_home, home.country.name),
            ),
        ),
    }
    text, answer, hops = rng.choice(choices[kind])
    return Question(name, kind, text, (answer,), hops)
