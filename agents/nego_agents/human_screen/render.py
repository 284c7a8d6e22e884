"""What a person at the screen sees, as rich renderables over a `View`: nothing in here knows more than the seat does.

What others wrote becomes `Text` through `safe` alone (`nego_env.replay.render`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from nego_agents.human_lines import how_it_ends, plan_ending
from nego_agents.human_screen.style import HELP, HELP_OPEN, HELP_STRUCTURED
from nego_env.accounting import best_score, reaches
from nego_env.moves import Act, tag
from nego_env.replay.frames import figure_text
from nego_env.replay.render import Barred, Fitted, bar, grid, joined, safe
from nego_env.replay.style import Palette
from nego_env.rules import Utterance
from nego_env.scenario import Option, Scenario
from nego_env.speaking import Speaking
from nego_env.view import View
from nego_env.wording import number

LIMIT = 20_000
"""Characters of one utterance that are shown."""


def seat_number(seat: str) -> int:
    """0 for `seat_0`."""
    return int(seat.removeprefix("seat_"))


def name(view: View, seat: int, palette: Palette, *, bold: bool = False) -> Text:
    """A seat's name in its colour."""
    return safe(view.scenario.seats[seat].name, f"{'bold ' if bold else ''}{palette.seat(seat)}")


def title(view: View | None, palette: Palette, width: int, *, over: bool) -> Text:
    """Who the person is, in which dilemma, and how far it is."""
    left = Text(no_wrap=True, overflow="ellipsis")
    if view is None:
        return left.append("nego play", palette.strong)
    left.append("you are ", palette.quiet).append_text(safe(view.name, f"bold {palette.seat(view.index)}"))
    left.append(" in ", palette.quiet).append_text(safe(view.scenario.id))
    where = "final plan" if view.phase == "completion" else f"round {view.round} of {view.max_rounds}"
    right = f"  {'the end' if over else where}"
    left.truncate(max(0, width - len(right)), overflow="ellipsis", pad=True)
    return left.append(right, palette.quiet)


# ---------------------------------------------------------------- the dilemma
def opening(view: View, palette: Palette, *, with_scores: bool) -> Group:
    """The dilemma, who sits here, the person's aim, and on a narrow screen their scores."""
    parts: list[RenderableType] = [safe(view.task, newlines=True), Text(), seats(view, palette), Text()]
    parts += [aim(view, palette), Text(), Text(how_it_ends(view), palette.quiet)]
    if with_scores and view.stakes is not None:
        parts += [Text(), Text("what the options are worth to you", palette.quiet), scores(view, palette)]
        parts.append(limits(view, palette))
    return Group(*parts)


def seats(view: View, palette: Palette) -> Table:
    """Who sits at the table."""
    table = grid(0, 0)
    for i, seat in enumerate(view.scenario.seat_ids):
        who = Text.assemble(name(view, i, palette, bold=i == view.index))
        if i == view.index:
            who.append("  you", palette.quiet)
        elif seat in view.walked:
            who.append("  has left", palette.bad)
        table.add_row(Text.assemble(("▌ ", palette.seat(i)), (seat, palette.quiet)), who)
    return table


def aim(view: View, palette: Palette) -> Text:
    """The person's own objective."""
    text = Text("your aim, which the others do not know: ", palette.quiet)
    return text.append_text(safe(view.persona, "not dim italic", newlines=True))


def private(view: View, palette: Palette) -> Group:
    """Everything that is the person's alone."""
    parts: list[RenderableType] = [
        safe(view.task, newlines=True),
        Text(),
        seats(view, palette),
        Text(),
        aim(view, palette),
    ]
    if view.stakes is not None:
        full = Fitted(lambda width: score_list(view, palette, width, in_full=True))
        parts += [Text(), full, limits(view, palette)]
    if view.revealed:
        parts += [Text(), published(view, palette)]
    return Group(*parts)


# ---------------------------------------------------------------- scores
def scores(view: View, palette: Palette) -> Table:
    """The person's score of every option, a line per issue: the best bold, the ones on the table marked."""
    assert view.stakes is not None  # asked for on structured dilemmas only
    style = palette.seat(view.index)
    table = grid(0, 1, padding=1)
    table.columns[0].max_width = 20
    for issue, row in zip(view.scenario.issues, view.stakes.scores, strict=True):
        cells = []
        for option, x in zip(issue.options, row, strict=True):
            figure = (number(x), f"bold {style}" if x == max(row) else style)
            cells.append(_marked(view, option, palette).append(" ").append(*figure))
        heading = Text.assemble((issue.id, palette.quiet), " ", safe(issue.name, palette.quiet))
        table.add_row(heading, joined(cells, " · ", palette.quiet))
    return table


def score_list(view: View, palette: Palette, width: int, *, in_full: bool = False) -> Table:
    """The same with a line per option and a bar, all of one scale; `in_full` adds what the author wrote about them."""
    assert view.stakes is not None  # asked for on structured dilemmas only
    style, room = palette.seat(view.index), 8 if width >= 40 else 0
    most = max(max(row) for row in view.stakes.scores)
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(ratio=1, overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(width=room)
    for issue, row in zip(view.scenario.issues, view.stakes.scores, strict=True):
        about = f" ({issue.text})" if in_full and issue.text else ""
        table.add_row(Text.assemble((issue.id, palette.quiet), " ", safe(issue.name + about, palette.quiet)))
        for option, x in zip(issue.options, row, strict=True):
            label = _marked(view, option, palette, among=" ")
            if in_full and option.text:
                label.append_text(safe(f" ({option.text})", palette.quiet))
            drawn = bar(x / most if most > 0 else 0, room, style, palette.rail)
            figure = Text(number(x), f"bold {style}" if x == max(row) else style)
            table.add_row(Padding(label, (0, 0, 0, 1)), figure, drawn)
    return table


def _marked(view: View, option: Option, palette: Palette, *, among: str = "") -> Text:
    """An option, with a mark where it is on the table, and else with `among` in the mark's place."""
    on_table = view.table is not None and option.id in view.table.deal
    mark = Text.assemble(("▸" if on_table else among, palette.seat(view.index)))
    return mark.append(option.id, palette.quiet).append(" ").append_text(safe(option.label))


def limits(view: View, palette: Palette) -> Text:
    """The best the person can get, and what they have without a deal."""
    assert view.stakes is not None  # asked for on structured dilemmas only
    best, without = number(best_score(view.stakes)), number(view.stakes.walk_away)
    return Text(f"your best deal is worth {best}, no deal {without}", palette.quiet)


def worth(view: View, deal: Sequence[str], palette: Palette, room: int) -> Text:
    """What a deal is worth to the person, with a bar `room` wide; a loss is called one."""
    assert view.stakes is not None  # asked for on structured dilemmas only
    gain, loss = view.gain(tuple(deal)), not reaches(view.stakes, view.scenario.deal(tuple(deal)))
    style = palette.bad if loss else palette.seat(view.index)
    text = Text.assemble((f"worth {number(view.worth(tuple(deal)))} to you", style))
    text.append(", a loss" if loss else f", gain {figure_text(gain)}", style)
    if room >= 4:
        text.append(" ").append_text(bar(gain, room, style, palette.rail))
    return text


def published(view: View, palette: Palette) -> RenderableType:
    """Every score anybody published."""
    table = grid(0, 1, padding=1)
    for r in view.revealed:
        who = name(view, seat_number(r.seat), palette)
        table.add_row(who, safe(_published(view, r.issue, r.scores)))
    return Group(Text("published scores", palette.quiet), table)


def _published(view: View, issue: str, row: Sequence[float]) -> str:
    options = view.scenario.issues[view.scenario.issue_index[issue.upper()]].options
    return ", ".join(f"{o.id} {number(x)}" for o, x in zip(options, row, strict=True))


# ---------------------------------------------------------------- the dialogue
def round_rule(u: Utterance | Speaking, max_rounds: int, palette: Palette) -> Rule:
    """The line above a round, or above the final plan."""
    title = "final plan" if u.phase == "completion" else f"round {u.round} of {max_rounds}"
    return Rule(Text(title, palette.quiet), style=palette.rail, align="left")


def forgotten(palette: Palette) -> Text:
    """In place of a message the seat does not remember."""
    return Text("(an earlier message is out of your memory)", palette.quiet)


def said(view: View, u: Utterance, palette: Palette) -> Barred:
    """Who said what, what it did, and what that would mean for the person."""
    who = seat_number(u.seat)
    title = Text.assemble(name(view, who, palette, bold=True))
    if u.seat == view.seat:
        title.append("  you", palette.quiet)
    parts: list[RenderableType] = [title, _words(u, palette)]
    if u.act is not None:
        for i, line in enumerate(_did(view, u.act, u.seat, palette)):
            parts.append(Text("→ " if i == 0 else "  ", palette.seat(who)).append_text(line))
    if u.notice is not None:
        parts.append(safe(f"! the tag did not count: {u.notice}", palette.warn))
    if "cut" in u.marks:
        parts.append(Text("! the message was too long and was cut", palette.warn))
    return Barred(Group(*parts), palette.seat(who))


def speaking(s: Speaking, palette: Palette) -> Barred:
    """Who is speaking, and the words so far."""
    style = palette.seat(seat_number(s.seat))
    title = safe(s.name, f"bold {style}").append("  …", palette.quiet)
    return Barred(Group(title, safe(s.text[:LIMIT], newlines=True)) if s.text else title, style)


def _words(u: Utterance, palette: Palette) -> Text:
    if not u.text.strip():
        return Text("(silence)", palette.quiet)
    text = safe(u.text[:LIMIT], newlines=True)
    if len(u.text) > LIMIT:
        text.append(f"\n(… {len(u.text) - LIMIT:,} more characters)", palette.quiet)
    elif u.act is not None and "[" in text.plain:
        text.stylize(palette.quiet, text.plain.rindex("["))  # an act is carried by the final tag
    return text


def _did(view: View, act: Act, seat: str, palette: Palette) -> Iterator[Text]:
    """What an act did, from the place of the person."""
    style = palette.seat(seat_number(seat))
    match act.kind:
        case "propose":
            yield Text.assemble(("proposes ", style), deal(view, act.deal, palette))
            yield worth(view, act.deal, palette, 0)
        case "accept":
            yield Text("accepts the deal on the table", style)
        case "walk":
            yield Text("walks away", style)
        case "ask":
            yield safe(f"asks what {_issue(view.scenario, act.issue)} is worth to the others", style)
        case "reveal":
            shown = [r for r in view.revealed if r.seat == seat and r.issue == act.issue]
            figures = f": {_published(view, act.issue, shown[0].scores)}" if shown else ""
            yield safe(f"publishes its true scores for {_issue(view.scenario, act.issue)}{figures}", style)
        case "agree":
            yield Text("consents to the plan", style)


def _issue(scenario: Scenario, issue: str) -> str:
    return f"{issue} ({scenario.issues[scenario.issue_index[issue.upper()]].name})"


def deal(view: View, ids: Sequence[str], palette: Palette) -> Text:
    """A deal in one line."""
    labels = view.scenario.labels(view.scenario.deal(tuple(ids)))
    cells = (Text.assemble((i, palette.quiet), " ", safe(x, palette.strong)) for i, x in zip(ids, labels, strict=True))
    return joined(cells, " · ", palette.quiet)


# ---------------------------------------------------------------- the table
def standing(view: View, palette: Palette, width: int, height: int) -> Group:
    """The deal on the table, what it is worth to the person, who accepts it; their scores, a line per option where `height`
    allows; what has been published."""
    if view.stakes is None:
        words = Text("an open dilemma: you are done when all of you consent to one plan", palette.quiet)
        return Group(seats(view, palette), Text(), aim(view, palette), Text(), words)
    parts: list[RenderableType] = []
    if view.table is None:
        parts.append(Text("nothing on the table yet", palette.quiet))
    else:
        parts += [Text.assemble(("on the table, by ", palette.quiet), name(view, seat_number(view.table.by), palette))]
        parts += [_terms(view, view.table.deal, palette), worth(view, view.table.deal, palette, min(20, width - 32))]
        parts.append(accepted(view, palette))
    lines = sum(1 + len(i.options) for i in view.scenario.issues) + len(view.scenario.issues) + len(view.revealed) + 12
    listed = score_list(view, palette, width) if lines <= height else scores(view, palette)
    parts += [Text(), Text("what the options are worth to you", palette.quiet), listed, limits(view, palette)]
    if view.revealed:
        parts += [Text(), published(view, palette)]
    return Group(*parts)


def compact_standing(view: View, palette: Palette, width: int) -> Group:
    """The same in two or three lines."""
    if view.stakes is None:
        return Group(aim(view, palette))
    if view.table is None:
        return Group(Text("nothing on the table yet; ", palette.quiet).append_text(limits(view, palette)))
    line = Text("on the table, by ", palette.quiet).append_text(name(view, seat_number(view.table.by), palette))
    line.append(": ", palette.quiet).append_text(deal(view, view.table.deal, palette))
    figures = worth(view, view.table.deal, palette, 10 if width >= 70 else 0).append("  ")
    return Group(line, figures.append_text(accepted(view, palette)))


def accepted(view: View, palette: Palette) -> Text:
    """Who accepts the deal on the table."""
    assert view.table is not None  # asked for with a deal on the table
    text = Text("accepted by ", palette.quiet)
    names = (name(view, seat_number(s), palette) for s in view.table.accepted)
    text.append_text(joined(names, ", ", palette.quiet) if view.table.accepted else Text("nobody", palette.quiet))
    return text.append(f" ({len(view.table.accepted)} of {view.scenario.n})", palette.quiet)


def _terms(view: View, ids: Sequence[str], palette: Palette) -> Table:
    table = grid(0, 1, padding=1)
    table.columns[0].max_width = 20
    labels = view.scenario.labels(view.scenario.deal(tuple(ids)))
    for issue, option, label in zip(view.scenario.issues, ids, labels, strict=True):
        words = Text.assemble((option, palette.quiet), " ", safe(label, palette.strong))
        table.add_row(safe(issue.name, palette.quiet), words)
    return table


def plan_request(view: View, palette: Palette) -> Group:
    """What the one who writes the final plan is told."""
    parts: list[RenderableType] = [
        Rule(Text("final plan", palette.quiet), style=palette.rail, align="left"),
        Text("The talk is over, and you write the plan for everyone, in one paragraph.", palette.strong),
    ]
    aims = grid(0, 1)
    for i, persona in enumerate(view.personas or ()):
        aims.add_row(name(view, i, palette), safe(persona, newlines=True))
    parts.append(aims)
    if ending := plan_ending(view):
        parts.append(Text(f"It must end in {ending}; that is added if you leave it out.", palette.quiet))
    return Group(*parts)


def preview(view: View, act: Act | None, palette: Palette) -> RenderableType:
    """What a draft would do if it were sent, in one line."""
    if act is None:
        return Text("Enter says this to everyone; it has no tag", palette.quiet)
    style = palette.seat(view.index)
    if act.kind != "propose":
        return Text.assemble(("→ ", style), ("Enter sends ", palette.quiet), (tag(act), style))
    line = Text.assemble(("→ ", style), ("Enter sends ", palette.quiet), (f"{tag(act)} ", style))
    return Fitted(lambda width: line + worth(view, act.deal, palette, 0))


def help_text(palette: Palette, *, open_dilemma: bool) -> RenderableType:
    """The keys, and what can be typed."""
    table = grid(0, 1)
    for keys, words in HELP + (HELP_OPEN if open_dilemma else HELP_STRUCTURED):
        table.add_row(Text(keys, palette.strong), Text(words))
    return table
