"""Episodes for the replay tests, played by hand through the rules: every way to end, 2 to 6 seats, awkward text."""

from __future__ import annotations

from collections.abc import Iterable

from nego_env.judges import ExactJudge, HeuristicJudge
from nego_env.rules import StopReason, case, fail, judged, pending, start, utter
from nego_env.scenario import Acceptance, Issue, Option, Protocol, Scenario, Seat, Stakes
from nego_env.settings import resolve
from nego_env.transcript import Transcript, header, transcript


def issue(id: str, name: str, *labels: str) -> Issue:
    """An issue with options `A1`, `A2`, ..."""
    return Issue(id, name, tuple(Option(f"{id}{j}", label) for j, label in enumerate(labels, 1)))


HARBOUR = Scenario(
    "harbour-lease",
    "The fish hall on the north quay stands empty, and both the port authority and the fishers' guild want to decide "
    "what becomes of it. The port needs income this year; the guild needs cold storage before the herring come in. "
    "What should they agree to do with the hall?",
    (
        Seat(
            "the harbour master",
            "Keep the quay open to every boat, whoever pays.",
            Stakes(((8, 5, 0), (0, 3, 6), (4, 2, 0)), 6),
        ),
        Seat(
            "the fishers' guild",
            "Give the small boats a place that is theirs for years.",
            Stakes(((0, 4, 6), (1, 5, 2), (0, 3, 6)), 5),
        ),
    ),
    (
        issue("A", "length of the lease", "six months", "two years", "ten years"),
        issue("B", "cold storage", "none", "shared storage", "guild storage only"),
        issue("C", "who pays for repairs", "the guild", "half and half", "the port"),
    ),
    tags=("sample",),
)

PAPER_PARK = Scenario(
    "mill-park",
    "The old paper mill is to become a park 🏞️. Six neighbours meet in the evening. 川沿いの公園をどう作りますか? "
    "What should be built?",
    tuple(
        Seat(name, persona, Stakes(tuple(tuple(float(x) for x in row) for row in rows), walk))
        for name, persona, rows, walk in (
            ("the mayor", "Open something before the election.", ((9, 4, 1), (5, 2, 0), (3, 6, 9), (4, 2, 0)), 9),
            (
                "田中さん (the school)",
                "子どもが安全に遊べる場所を守る。",
                ((2, 7, 5), (1, 4, 6), (8, 4, 0), (0, 3, 4)),
                10,
            ),
            ("the café owner ☕", "Draw people past the door.", ((6, 5, 0), (7, 3, 0), (2, 4, 5), (5, 1, 0)), 8),
            ("the river board", "Leave room for floods.", ((0, 3, 9), (0, 4, 7), (5, 3, 1), (1, 2, 5)), 9),
            (
                "the night-shift nurses",
                "Keep it quiet in the morning.",
                ((1, 4, 8), (0, 5, 8), (4, 4, 4), (0, 3, 6)),
                11,
            ),
            ("the football club", "Get a pitch that drains.", ((9, 6, 0), (4, 4, 1), (0, 5, 8), (6, 3, 0)), 8),
        )
    ),
    (
        issue("A", "what is built", "a lit pitch ⚽", "playground and meadow", "wetland 🦆"),
        issue("B", "opening hours", "day and night", "until 22:00", "daylight only"),
        issue("C", "入口 (the gate)", "by the school 🏫", "at the bridge", "two gates"),
        issue("D", "events", "every weekend 🎉", "four a year", "none"),
    ),
    Protocol(max_rounds=3, acceptance=Acceptance(5, (0,)), bonus={"seat_0": 10.0}),
)

NOBODY = Scenario(
    "well-water",
    "Two farms share one well in a dry year. Who draws when?",
    (
        Seat("the upper farm", "Save the orchard.", Stakes(((5, 0),), 4)),
        Seat("the lower farm", "Save the herd.", Stakes(((0, 5),), 4)),
    ),
    (issue("A", "first draw", "the upper farm", "the lower farm"),),
    Protocol(max_rounds=2),
)

OPEN = Scenario(
    "memoir",
    "A daughter is about to publish a memoir; one chapter is about her brother's illness. What should happen to it?",
    (
        Seat("the daughter", "Tell the truth as you lived it."),
        Seat("the brother", "Keep what is yours to tell."),
    ),
    protocol=Protocol(max_rounds=4),
)


def episode(
    scenario: Scenario, lines: Iterable[str], *, agents: tuple[str, ...] = (), **settings: object
) -> Transcript:
    """An episode in which the seats say `lines` in turn; a failure when they run out before the end."""
    chosen = resolve(scenario, **settings)  # type: ignore[arg-type]
    names = agents or tuple(("boulware", "conceder")[i % 2] for i in range(scenario.n))
    state = start(scenario, chosen, header(scenario, chosen, names, seed=1))
    judge = ExactJudge() if scenario.issues else HeuristicJudge()
    said = iter(lines)
    while (due := pending(state)) is not None:
        if due.what != "utterance":
            state = judged(state, judge.judge(case(state)))
            continue
        line = next(said, None)
        if line is None:
            state = fail(state, StopReason.AGENT_ERROR, "ValueError: 'boulware' has no line \x1b[31mleft\x1b[0m")
        else:
            state = utter(state, line)
    return transcript(state)


AGREED = episode(
    HARBOUR,
    [
        "Before we talk terms: what does the length of the lease mean to you? [Ask: A]",
        "A great deal. A boat is paid off in ten years, not in one, so a short lease is [bold red]no lease[/] at all. "
        "Here is what I can say openly. [Reveal: A]",
        "Then let us start short and see how it goes. [Propose: A1 B2 C1]",
        "Six months, and we pay for the roof? That is charity to the port. [Accept] would be the wrong word.",
        "Two years then, and the repairs shared. [Propose: A2 B2 C2]",
        "The boats can live with that. [Accept]",
    ],
)

SIX = episode(
    PAPER_PARK,
    [
        "Let us be quick about it. [Propose: A1 B1 C3 D1]",
        "子どもたちには静かな遊び場が必要です。夜の照明は困ります。 [Reveal: A]",
        "Fine by me ☕🥐, a crowd is a crowd 👨‍👩‍👧‍👦. [Accept]",
        "A pitch on the flood plain will be a pond 🌊 every March. [Ask: A]",
        "Not at night. We sleep at eight in the morning. [Propose: A2 B9 C1 D3]",
        "A pitch it must be. [Accept]",
        "A meadow, then; open until ten. [Propose: A2 B2 C2 D2]",
        "それなら賛成です。 [Accept]",
        "No music, no me. [Walk]",
        "Meadow drains. [Accept]",
        "Ten is late, but it is not midnight. [Accept]",
        "We can play on a meadow. [Accept]",
    ],
    agents=("boulware", "conceder", "micro", "logroller", "tit-for-tat", "./my_agents.py:stubborn"),
)

FAILED = episode(HARBOUR, ["Shall we begin? [Ask: B]", "Gladly. [Propose: A2 B2 C3]"])

WALKED = episode(
    HARBOUR, ["Six months, take it. [Propose: A1 B3 C1]", "No. [Propose: A3 B2 C3]", "Then we are done here. [Walk]"]
)

CAPPED = episode(
    HARBOUR,
    ["Mine. [Propose: A1 B3 C1]", "Mine. [Propose: A3 B2 C3]", "", "Still mine.", "[Agreed: A2 B2 C2]"],
    max_rounds=2,
    complete="always",
    completion="write",
)

NO_ZOPA = episode(NOBODY, ["I draw first. [Propose: A1]", "Have it then. [Accept]"])

DILEMMA = episode(
    OPEN,
    [
        "It is my life too. The chapter stays.",
        "My diagnosis is mine to tell. Cut it.",
        "What if you read it first, and strike what is only yours, before 1 March? [Agree]",
        "I read it, I strike, and you print the rest. [Agree]",
        "The daughter will send the brother the chapter by 1 February; the brother will strike what is only his to tell; "
        "the rest is printed as it stands, and neither speaks of the cut.",
    ],
)

SAMPLES = {
    "agreed": AGREED,
    "six-seats": SIX,
    "failed": FAILED,
    "walked": WALKED,
    "capped": CAPPED,
    "no-zopa": NO_ZOPA,
    "open": DILEMMA,
}
