"""The pieces of a replay as rich renderables, shared by the plain rendering, the exports and the player.

What agents and authors wrote becomes `Text` through `safe`, and in no other way: it is never parsed as markup, and no
character of it can move a cursor (`nego_env.safe_text`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from nego_env.accounting import CA_MAX
from nego_env.replay.frames import Episode, Frame, Option, Private, Worth, figure_text, private, scores_text
from nego_env.replay.style import Palette
from nego_env.safe_text import visible
from nego_env.scenario import Scenario
from nego_env.verdict import Verdict
from nego_env.wording import number

LIMIT = 100_000
"""Characters of one utterance that are shown; the transcript keeps them all."""


def safe(text: str, style: str = "", *, newlines: bool = False) -> Text:
    """Somebody else's words, fit to print."""
    return Text(visible(text, newlines=newlines), style=style)


def joined(parts: Iterable[Text], separator: str, style: str = "") -> Text:
    """Texts one after the other."""
    line = Text()
    for i, part in enumerate(parts):
        if i:
            line.append(separator, style)
        line.append_text(part)
    return line


class Barred:
    """A renderable with a coloured bar down its left side, on every line it takes."""

    def __init__(self, body: RenderableType, style: str) -> None:
        self.body = body
        self.style = style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines of the body, each behind the bar."""
        inner = options.update(width=max(1, options.max_width - 2), height=None)
        bar = Segment("▌ ", Style.parse(self.style))
        for line in console.render_lines(self.body, inner, pad=False):
            yield bar
            yield from line
            yield Segment.line()


class Fitted:
    """A renderable drawn by a function of the width it is given."""

    def __init__(self, draw: Callable[[int], RenderableType]) -> None:
        self.draw = draw

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What the function draws for this width."""
        yield self.draw(options.max_width)


def bar(fraction: float, width: int, style: str, rail: str) -> Text:
    """A bar filled to a fraction in [0, 1] (clipped), half a cell at a time."""
    halves = round(min(1.0, max(0.0, fraction)) * width * 2)
    full, half = divmod(halves, 2)
    return Text.assemble(("━" * full + "╸" * half, style), ("─" * (width - full - half), rail))


def seat_name(ep: Episode, seat: int, palette: Palette, *, bold: bool = True) -> Text:
    """A seat's name in its colour."""
    return safe(ep.scenario.seats[seat].name, f"bold {palette.seat(seat)}" if bold else palette.seat(seat))


def _seat(frame: Frame) -> int:
    return 0 if frame.utterance is None else int(frame.utterance.seat.removeprefix("seat_"))


def grid(*ratios: int, padding: int = 2) -> Table:
    """A borderless table whose cells fold rather than vanish; 0 is a column as wide as its content."""
    table = Table.grid(padding=(0, padding), expand=any(ratios))
    for ratio in ratios:
        table.add_column(ratio=ratio or None, overflow="fold")
    return table


# ---------------------------------------------------------------- before the first word
def opening(ep: Episode, palette: Palette) -> Group:
    """The dilemma, who sits where, and what there is to settle."""
    s = ep.scenario
    parts: list[RenderableType] = [safe(s.id, palette.strong), safe(s.task, newlines=True), Text(), _seats(ep, palette)]
    if s.issues:
        parts += [Text(), _issues(s, palette)]
    return Group(*parts)


def _seats(ep: Episode, palette: Palette) -> Table:
    table = grid(0, 0, 0)
    for i, seat_id in enumerate(ep.scenario.seat_ids):
        mark = Text.assemble(("▌ ", palette.seat(i)), (seat_id, palette.quiet))
        table.add_row(mark, seat_name(ep, i, palette), safe(ep.transcript.agents[i], palette.quiet))
    return table


def _issues(s: Scenario, palette: Palette) -> Table:
    table = grid(0, 0, 1)
    for issue in s.issues:
        options = joined((_option(o.id, o.label, palette) for o in issue.options), " · ", palette.quiet)
        table.add_row(safe(issue.id, palette.quiet), safe(issue.name), options)
    return table


def _option(id: str, label: str, palette: Palette) -> Text:
    return Text.assemble((visible(id, newlines=False), palette.quiet), " ", safe(label))


# ---------------------------------------------------------------- one utterance
def heading(ep: Episode, frame: Frame, palette: Palette) -> Rule | None:
    """The rule above the first utterance of a round, or of the final plan; None elsewhere."""
    before = ep.frames[frame.number - 1] if frame.number else frame
    if frame.kind != "utterance":
        return None
    if frame.phase == "completion":
        return Rule(Text("final plan", palette.quiet), style=palette.rail, align="left")
    if before.kind == "utterance" and before.round == frame.round:
        return None
    title = f"round {frame.round} of {ep.transcript.settings.max_rounds}"
    return Rule(Text(title, palette.quiet), style=palette.rail, align="left")


def utterance(ep: Episode, frame: Frame, palette: Palette, seat: int | None = None, *, limit: int = LIMIT) -> Barred:
    """What was said, what it did, and what that put on the table. `seat` limits figures and notices to what that seat saw."""
    u = frame.utterance
    assert u is not None  # only utterances are rendered by this
    who = _seat(frame)
    title = Text.assemble(seat_name(ep, who, palette), (f"  {u.seat} · {frame.number}", palette.quiet))
    parts: list[RenderableType] = [title, _words(frame, palette, limit)]
    if frame.did and frame.phase == "dialogue":
        parts.append(
            Text.assemble(("→ ", palette.seat(who)), safe(frame.did, palette.seat(who)), _count(frame, palette))
        )
    if frame.fresh and frame.table is not None:
        parts += deal_lines(ep, frame.table, palette, seat)
    if u.notice is not None and seat in (None, who):
        parts.append(safe(f"! the tag did not count: {u.notice}", palette.warn))
    parts += [Text(f"! {words}", palette.warn) for words in _marks(ep, u.marks)]
    parts += [verdict_line(v, palette) for v in frame.verdicts if v.kind == "agreement"]
    return Barred(Group(*parts), palette.seat(who))


def _words(frame: Frame, palette: Palette, limit: int) -> Text:
    u = frame.utterance
    assert u is not None
    if not u.text.strip():
        return Text("(silence)", palette.quiet)
    text = safe(u.text[:limit], newlines=True)
    if len(u.text) > limit:
        text.append(f"\n(… {len(u.text) - limit:,} more characters)", palette.quiet)
    elif u.act is not None and frame.phase == "dialogue":
        text.stylize(palette.quiet, text.plain.rindex("["))  # an act is carried by the final tag
    return text


def _count(frame: Frame, palette: Palette) -> Text:
    """How many have accepted, where the utterance changed it."""
    act = frame.utterance.act if frame.utterance else None
    if act is None or act.kind not in ("propose", "accept"):
        return Text()
    return Text(f"  ({sum(frame.accepted)} of {len(frame.accepted)} accept)", palette.quiet)


def _marks(ep: Episode, marks: tuple[str, ...]) -> list[str]:
    words = {
        "cut": f"the message was cut at {ep.transcript.settings.max_chars} characters",
        "surrogates": "broken characters were replaced",
    }
    return [words.get(m, visible(m, newlines=False)) for m in marks]


def deal_lines(ep: Episode, worth: Worth, palette: Palette, seat: int | None = None) -> list[RenderableType]:
    """A deal in two indented lines: its options; then gains, CA and distance to the best, or its worth to `seat`."""
    deal = Text.assemble(("on the table: ", palette.quiet))
    deal.append_text(joined((safe(label, palette.strong) for label in worth.labels), " · ", palette.quiet))
    if seat is not None:
        words = f"worth {number(worth.scores[seat])}, gain {figure_text(worth.gains[seat])}"
        return [_indented(deal), _indented(Text(words, palette.seat(seat)))]
    figures = Text.assemble(("gains ", palette.quiet))
    figures.append_text(joined((_gain(worth, i, palette) for i in range(ep.scenario.n)), " / ", palette.quiet))
    if worth.ca is not None and worth.below_best is not None:
        figures.append(" | ", palette.rail)
        figures.append(f"CA {figure_text(worth.ca)}", palette.figure)
        figures.append(f", {_below(worth.below_best)}", palette.quiet)
    return [_indented(deal), _indented(figures)]


def _indented(text: Text) -> Padding:
    return Padding(text, (0, 0, 0, 2))


def _below(distance: float) -> str:
    return f"{figure_text(distance)} below the best" if distance >= 0.005 else "the best possible"


def _gain(worth: Worth, seat: int, palette: Palette) -> Text:
    return Text(figure_text(worth.gains[seat]), palette.seat(seat) if worth.reached[seat] else palette.bad)


def verdict_line(v: Verdict, palette: Palette) -> Text:
    """What a judge said about agreement, with the label of its figures."""
    label = "" if v.label == "CA" else f" · {v.label}"
    said = "agreed" if v.value >= 0.5 else "not agreed yet"
    why = f" ({v.reason})" if v.reason else ""
    return safe(f"judge {v.judge}{label}: {said}{why}", palette.quiet)


# ---------------------------------------------------------------- the state of the table
def standing(ep: Episode, frame: Frame, palette: Palette, width: int) -> Group:
    """The deal on the table, who has accepted it, the gain of every seat, CA and what has been published."""
    parts: list[RenderableType] = [round_line(ep, frame, palette), Text()]
    if ep.scenario.issues:
        parts += [_deal(ep, frame, palette, width), Text()]
        parts += [seat_rows(ep, frame, palette, width), Text(), ca_gauge(ep, frame, palette, width)]
    else:
        parts += [_seats(ep, palette), Text(), Text("an open dilemma: nothing to score exactly", palette.quiet)]
    if frame.revealed:
        parts += [Text(), Text("published scores", palette.quiet), published(ep, frame, palette)]
    return Group(*parts)


def compact_standing(ep: Episode, frame: Frame, palette: Palette, width: int) -> RenderableType:
    """The same in few lines: deal left and gains right from 60 columns, one below the other under that."""
    if not ep.scenario.issues:
        return Group(round_line(ep, frame, palette), _seats(ep, palette))
    if width < 60:
        short = Text.assemble(("on the table: ", palette.quiet))
        short.append(" ".join(frame.table.deal) if frame.table else "nothing yet", palette.strong)
        return Group(short, seat_rows(ep, frame, palette, width), ca_gauge(ep, frame, palette, width))
    right = max(28, width * 45 // 100)
    left = width - right - 3
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column(width=left)
    table.add_column(width=right)
    table.add_row(
        Group(round_line(ep, frame, palette), _deal(ep, frame, palette, left)),
        Group(seat_rows(ep, frame, palette, right), ca_gauge(ep, frame, palette, right)),
    )
    return table


def round_line(ep: Episode, frame: Frame, palette: Palette) -> Text:
    """Where in the episode this is, and whose deal stands."""
    if frame.kind == "end":
        return safe(ep.ending.words, palette.strong)
    where = "final plan" if frame.phase == "completion" else f"round {frame.round}"
    line = Text.assemble((where, palette.strong))
    if frame.phase == "dialogue":
        line.append(f" of {ep.transcript.settings.max_rounds}", palette.quiet)
    return line


def _deal(ep: Episode, frame: Frame, palette: Palette, width: int) -> RenderableType:
    if frame.table is None or frame.by is None:
        return Text("nothing on the table yet", palette.quiet)
    by = int(frame.by.removeprefix("seat_"))
    title = Text.assemble(("on the table, by ", palette.quiet), seat_name(ep, by, palette, bold=False))
    chosen = [_option(o, label, palette) for o, label in zip(frame.table.deal, frame.table.labels, strict=True)]
    room = max(width * 2 // 5, width - 2 - max(option.cell_len for option in chosen))  # names give way to options
    table = Table.grid(padding=(0, 1))
    table.add_column(max_width=max(8, room), no_wrap=True, overflow="ellipsis")
    table.add_column(overflow="fold")
    for issue, option in zip(ep.scenario.issues, chosen, strict=True):
        table.add_row(safe(issue.name, palette.quiet), option)
    return Group(title, table)


def seat_rows(ep: Episode, frame: Frame, palette: Palette, width: int) -> Table:
    """A row per seat: whether it accepts, its name, its gain as a bar and a figure."""
    names = [seat_name(ep, i, palette, bold=False) for i in range(ep.scenario.n)]
    longest = min(max(name.cell_len for name in names), max(8, width * 11 // 20))
    room = max(4, min(28, width - longest - 9))
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(width=longest, no_wrap=True, overflow="ellipsis")
    table.add_column(width=room, no_wrap=True)
    table.add_column(width=5, justify="right", no_wrap=True)
    for i, name in enumerate(names):
        if frame.table is None:
            table.add_row(_sign(frame, i, palette), name, Text("─" * room, palette.rail), Text("–", palette.quiet))
            continue
        style = palette.seat(i) if frame.table.reached[i] else palette.bad
        filled = bar(frame.table.gains[i], room, style, palette.rail)
        table.add_row(_sign(frame, i, palette), name, filled, _gain(frame.table, i, palette))
    return table


def _sign(frame: Frame, seat: int, palette: Palette) -> Text:
    if frame.walked[seat]:
        return Text("×", palette.bad)
    return Text("✓", palette.good) if frame.accepted[seat] else Text("·", palette.quiet)


def ca_gauge(ep: Episode, frame: Frame, palette: Palette, width: int) -> Text:
    """The Collective Agency of the deal on the table, and how far it is from the best."""
    if ep.scenario.no_zopa:
        return Text("CA: none, no deal suits everybody", palette.quiet)
    if frame.table is None or frame.table.ca is None or frame.table.below_best is None:
        return Text.assemble(("CA ", palette.figure), ("–", palette.quiet))
    room = max(4, min(20, width - 32))
    return Text.assemble(
        ("CA ", palette.figure),
        bar(frame.table.ca / CA_MAX, room, palette.figure, palette.rail),
        (f" {figure_text(frame.table.ca)}", palette.figure),
        (f"  {_below(frame.table.below_best)}", palette.quiet),
    )


def published(ep: Episode, frame: Frame, palette: Palette) -> Table:
    """Scores published so far."""
    table = grid(0, 1, padding=1)
    for r in frame.revealed:
        who = int(r.seat.removeprefix("seat_"))
        table.add_row(seat_name(ep, who, palette, bold=False), safe(scores_text(ep.scenario, r)))
    return table


# ---------------------------------------------------------------- what one seat knew
def private_view(ep: Episode, seat: int, palette: Palette, frame: Frame | None = None) -> Group:
    """A seat's persona and stakes; with a frame, also what the deal on the table is worth to it."""
    mine = private(ep.transcript, seat)
    parts: list[RenderableType] = [
        Text.assemble(("private to ", palette.quiet), seat_name(ep, seat, palette), (f"  {mine.seat}", palette.quiet)),
        safe(mine.persona, "italic", newlines=True),
        Text(mine.memory, palette.quiet),
    ]
    if mine.walk_away is not None:
        parts += [Text(), _stakes(mine, palette, palette.seat(seat), frame)]
        parts.append(Text(f"without a deal it has {number(mine.walk_away)}", palette.quiet))
    if frame is not None and frame.table is not None:
        worth, gain = number(frame.table.scores[seat]), figure_text(frame.table.gains[seat])
        parts += [Text(), Text.assemble("on the table: ", (f"worth {worth}, gain {gain}", palette.seat(seat)))]
    return Group(*parts)


def _stakes(mine: Private, palette: Palette, style: str, frame: Frame | None) -> Table:
    """A row per issue, every option with its score: the best of an issue bold, the one on the table marked."""
    on_table = set(frame.table.deal) if frame is not None and frame.table is not None else set()
    table = grid(0, 1)
    for name, options in mine.issues:
        cells = (_valued(o, o.id in on_table, palette, style) for o in options)
        table.add_row(safe(name, palette.quiet), joined(cells, " · ", palette.quiet))
    return table


def _valued(option: Option, on_table: bool, palette: Palette, style: str) -> Text:
    mark = Text("▸", style) if on_table else Text()
    figure = (number(option.score), f"bold {style}" if option.best else style)
    return Text.assemble(mark, _option(option.id, option.label, palette), " ", figure)


# ---------------------------------------------------------------- the end
def finish(ep: Episode, palette: Palette, width: int) -> Panel:
    """How it ended: the reason in words, the figures, and the deal beside the best one."""
    end = ep.ending
    border = palette.quiet if end.good is None else palette.good if end.good else palette.warn
    parts: list[RenderableType] = []
    if end.error is not None:
        parts.append(safe(end.error or "no reason was recorded", palette.bad))
    if end.figures:
        figures = grid(0, 0, 1)
        for f in end.figures:
            figures.add_row(safe(f.name, palette.quiet), Text(f.value, palette.figure), safe(f.note, palette.quiet))
        parts.append(figures)
    if end.agreed is not None or end.best is not None:
        parts += [Text(), _comparison(ep, palette, width - 4)]
    title = safe(end.words, f"bold {border}" if border != "dim" else "bold")
    return Panel(Group(*parts), title=title, title_align="left", border_style=border, padding=(0, 1))


def _comparison(ep: Episode, palette: Palette, width: int) -> Table:
    """The agreed deal beside the best one: an option per issue, a gain per seat, CA."""
    end = ep.ending
    deals = [(name, w) for name, w in (("agreed", end.agreed), ("best possible", end.best)) if w is not None]
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    first = max(8, min(30, width // 3))
    table.add_column(max_width=first, overflow="fold")
    for _ in deals:
        table.add_column(ratio=1, overflow="fold")
    room = max(3, min(20, (width - first) // len(deals) - 9))
    table.add_row("", *(Text(name, palette.quiet) for name, _ in deals))
    for k, issue in enumerate(ep.scenario.issues):
        row = (_option(w.deal[k], w.labels[k], palette) for _, w in deals)
        table.add_row(safe(issue.name, palette.quiet), *row)
    for i in range(ep.scenario.n):
        table.add_row(seat_name(ep, i, palette, bold=False), *(_gain_bar(w, i, room, palette) for _, w in deals))
    if not ep.scenario.no_zopa:
        cells = (Text("" if w.ca is None else figure_text(w.ca), palette.figure) for _, w in deals)
        table.add_row(Text("CA", palette.quiet), *cells)
    return table


def _gain_bar(worth: Worth, seat: int, room: int, palette: Palette) -> Text:
    style = palette.seat(seat) if worth.reached[seat] else palette.bad
    figure = f"{figure_text(worth.gains[seat]):>5} "
    return Text.assemble((figure, style), bar(worth.gains[seat], room, style, palette.rail))


def spaced(*parts: RenderableType) -> Group:
    """Renderables with an empty line after them."""
    return Group(*parts, Text())
