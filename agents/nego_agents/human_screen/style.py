"""How the screen is laid out, and the words that stay the same."""

from __future__ import annotations

KEYS = (
    ("F2", "propose", "Propose"),
    ("F3", "accept", "Accept"),
    ("F3", "agree", "Agree"),
    ("F4", "ask", "Ask"),
    ("F5", "reveal", "Reveal"),
    ("F6", "walk", "Walk"),
    ("F7", "private", "View"),
    ("F1", "help", "Help"),
)
"""(key, kind of move or action, label) of the row of buttons."""

HELP = (
    ("Enter", "say what is in the field; what it would do, or its fault, stands below it"),
    ("Ctrl-J", "a line break in a message"),
    ("Ctrl-Z, Ctrl-Y", "undo, redo in the field"),
    ("Tab", "to the buttons and back"),
    ("page up, down", "scroll the dialogue"),
    ("F7, /view", "the dilemma, your aim and your scores"),
    ("F8", "dark or light"),
    ("Escape", "leave the table, after a question"),
    ("Ctrl-C, Ctrl-Q", "leave at once; what was said so far is kept"),
)
HELP_STRUCTURED = (
    ("F2, /propose", "put a deal on the table; or type /propose A2 B1"),
    ("F3, /accept", "accept the deal on the table"),
    ("F4, /ask A", "ask the others what issue A means to them"),
    ("F5, /reveal A", "publish your true scores for issue A"),
    ("F6, /walk", "leave the table for good"),
    ("words with it", "type them first, or after a dash: /accept - that will do"),
    ("a tag", "or end a message with one: That will do. [Accept]"),
)
HELP_OPEN = (
    ("F3, /agree", "consent to the plan just stated"),
    ("words with it", "type them first, or after a dash: /agree - that is fair"),
    ("a tag", "or end a message with one: That is fair. [Agree]"),
)

CSS = """
Screen { background: $background; color: $foreground; }
#title { height: 1; padding: 0 1; background: $panel; }
#body { layout: horizontal; height: 1fr; }
#dialogue { width: 1fr; padding: 1 1 0 2; }
Entry { width: 1fr; height: auto; margin-bottom: 1; }
#table { width: 42%; min-width: 46; max-width: 70; padding: 1 2; background: $surface; scrollbar-background: $surface; }
#table > Static { width: 1fr; height: auto; }
Screen.narrow #body { layout: vertical; }
Screen.narrow #dialogue { padding: 0 1; }
Screen.narrow #table { width: 100%; max-width: 100%; min-width: 0; height: auto; max-height: 40%; padding: 0 1; }
#moves { height: 1; padding: 0 1; background: $panel; }
#moves Button { margin-right: 1; }
Screen.tight #moves Button { margin-right: 0; }
Button { min-width: 0; height: 1; border: none; padding: 0; background: $panel-lighten-2; color: $foreground; }
Button:hover, Button:focus { background: $primary; color: $background; text-style: bold; }
Button:disabled { background: $panel; color: $secondary; text-opacity: 60%; }
#draft { height: auto; max-height: 6; min-height: 1; border: none; border-left: outer $primary; padding: 0 1;
    background: $surface; }
#draft .text-area--cursor-line { background: $surface; }
#note { height: auto; max-height: 3; padding: 0 1; background: $surface; }
Form, Sheet, Confirm { align: center middle; background: $background 60%; }
Curtain { align: center middle; background: $background; }
#form, #sheet, #confirm { width: 92; max-width: 96%; height: auto; max-height: 94%; padding: 1 2; background: $surface; }
#confirm { width: auto; }
#confirm Static { width: auto; }
#form-title { height: auto; margin-bottom: 1; }
#form-body { height: auto; scrollbar-background: $surface; }
#form-figures { height: auto; margin-top: 1; }
#form-text { height: auto; }
Form.short #form { padding: 0 2; max-height: 100%; }
Form.short #form-title, Form.short #form-figures, Form.short #words, Form.short #form-buttons { margin: 0; }
Choices { height: auto; }
#words { margin-top: 1; height: 1; border: none; padding: 0 1; background: $panel; }
#form-fault { height: auto; }
#form-buttons { height: 1; margin-top: 1; }
#form-buttons Button { margin-right: 1; }
#form-keys { width: 1fr; height: 1; }
#sheet-body { height: auto; scrollbar-background: $surface; }
#sheet-body > Static { height: auto; }
#sheet > Static { margin-top: 1; }
VerticalScroll { scrollbar-background: $background; scrollbar-color: $panel-lighten-2; scrollbar-size-vertical: 1; }
"""
