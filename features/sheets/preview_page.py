"""The page of drawings: one file, nothing fetched, nothing run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined, Template

if TYPE_CHECKING:
    from features.sheets.preview import DrawnAction

_STYLE = """
:root { color-scheme: light; --line: #e3ddd2; --ink: #2b2620; --soft: #6f685e; --brand: #8a5a44; --paper: #faf8f4;
  --card: #fff; --head: #f3efe8; --said: #e9f6e3; --reply: #33602a; --wrong: #a3271c; --a: #efe9df; --b: #e7dfd2;
  --button: #8a5a44; }
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --line: #4a443b; --ink: #ece7de; --soft: #b5ada1; --brand: #dba98f; --paper: #181613;
    --card: #221f1b; --head: #2d2924; --said: #223620; --reply: #a9d69b; --wrong: #f2a097; --a: #332e28; --b: #2a2621; }
}
@media print {
  body { background: #fff; } nav { display: none; } h2, h3 { break-after: avoid; } figure { break-inside: avoid; }
}
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, "Noto Sans", "Noto Sans Devanagari", "Noto Sans Thai", sans-serif;
  color: var(--ink); background: var(--paper); overflow-wrap: anywhere; }
main, header { max-width: 82rem; margin: 0 auto; padding: 1rem 1.25rem; }
h1 { font-size: 1.6rem; margin: .5rem 0 0; } h2 { font-size: 1.2rem; margin: 0 0 .5rem; }
h3 { font-size: .95rem; margin: 1.25rem 0 .5rem; } .soft { color: var(--soft); font-weight: 400; }
a:focus-visible { outline: 3px solid #d08a1d; outline-offset: 2px; }
nav a { display: inline-block; margin: 0 .75rem .25rem 0; color: var(--brand); }
section { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1rem 1.25rem;
  margin: 0 0 1.25rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .9rem; margin: 0; font-size: .88rem; }
dt { color: var(--soft); } dd { margin: 0; } code { font-size: .88em; }
.drawings { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
figure { margin: 0; flex: 1 1 17rem; max-width: 24rem; min-width: 0; }
figcaption { font-size: .8rem; color: var(--soft); margin-bottom: .3rem; }
.over,
.problem { color: var(--wrong); } .problem { border: 1px dashed var(--wrong); border-radius: .5rem; padding: .6rem; }
.text { white-space: pre-wrap; margin: 0; } .hook { font-weight: 650; margin: 0 0 .4rem; white-space: pre-wrap; }
.picture { display: block; border-radius: .5rem; padding: 1.6rem .75rem; margin: 0 0 .6rem; font-size: .8rem;
  background: repeating-linear-gradient(45deg, var(--a), var(--a) 10px, var(--b) 10px, var(--b) 20px);
  color: var(--soft); text-align: center; }
.bubble { background: var(--said); border-radius: .2rem 1rem 1rem 1rem; padding: .7rem .85rem; }
.replies { display: flex; flex-wrap: wrap; gap: .35rem; margin-top: .5rem; }
.reply { border: 1px solid #7aa36a; color: var(--reply); border-radius: 1rem; padding: .15rem .7rem;
  background: var(--card);
  font-size: .9rem; }
.says { display: block; font-size: .72rem; color: var(--soft); }
.email { border: 1px solid var(--line); border-radius: .5rem; overflow: hidden; }
.email .head { background: var(--head); padding: .5rem .85rem; font-size: .88rem;
  border-bottom: 1px solid var(--line); }
.email .in { padding: .85rem; } .card { border: 1px solid var(--line); border-radius: .9rem; padding: .85rem;
  box-shadow: 0 2px 10px rgba(60, 40, 20, .08); }
.button { display: inline-block; margin-top: .6rem; background: var(--button); color: #fff; border-radius: .4rem;
  padding: .35rem .9rem; }
.url { display: block; font-size: .75rem; color: var(--soft); margin: .25rem 0 0; }
.items { display: flex; gap: .6rem; overflow-x: auto; padding: .6rem 0 .2rem; }
.item { flex: 0 0 9rem; border: 1px solid var(--line); border-radius: .6rem; padding: .5rem; background: var(--card);
  font-size: .85rem; }
.item .picture { padding: 1rem .3rem; margin-bottom: .35rem; }
.template { margin: .6rem 0 0; border-left: 3px solid #c8b48a; padding: .1rem .6rem; font-size: .8rem;
  color: var(--soft); }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{{ brand }}: the catalogue</title>
<style>{{ style | safe }}</style>
</head>
<body>
<header>
<h1>{{ brand }}: the catalogue</h1>
<p class="soft">What customers read, drawn with samples of what their texts take.
Pictures are named, not fetched.</p>
<nav aria-label="Actions">
{% for one in actions %}<a href="#{{ one.action.id }}">{{ one.action.id }}</a>{% endfor %}
</nav>
</header>
<main>
{% for one in actions %}
<section id="{{ one.action.id }}" data-action="{{ one.action.id }}">
<h2>{{ one.action.id }}</h2>
<dl>{% for name, words in one.facts %}<dt>{{ name }}</dt><dd>{% if name == "when" %}<code>{{ words }}</code>{% else %}
{{- words }}{% endif %}</dd>{% endfor %}</dl>
{% for drawn in one.drawn %}
<h3>{{ drawn.language }} <span class="soft">{{ drawn.locale }}
{%- for name, value in drawn.slots %} · {{ name }} = {{ value }}{% endfor %}</span></h3>
{% if drawn.reads %}<p class="soft">No rendering of its own: who asks for it reads {{ drawn.reads }}.</p>{% endif %}
<div class="drawings">
{% for drawing in drawn.drawings %}
<figure data-channel="{{ drawing.channel }}" data-locale="{{ drawn.locale }}" data-shape="{{ drawing.shape }}">
<figcaption>{{ drawing.channel }}
{%- if drawing.message %} · {{ drawing.length }} of {{ drawing.limit }} characters{% endif %}</figcaption>
{% if drawing.message is none %}<p class="problem">Cannot be said here: {{ drawing.problem }}</p>
{% else %}
<div lang="{{ drawn.locale }}" dir="{{ drawn.direction }}">{{ shapes[drawing.shape](drawing.message) }}</div>
{% endif %}
{% if drawing.template %}<p class="template">Outside the session window: template {{ drawing.template.name }}
({{ drawing.template.language }}, {{ drawing.template.category }})
{%- for words in drawing.template.parameters %}{{ ": " if loop.first else "; " }}{{ words }}{% endfor %}</p>{% endif %}
</figure>
{% endfor %}
</div>
{% endfor %}
</section>
{% endfor %}
</main>
</body>
</html>
"""

_SHAPES = """
{%- macro picture(media) %}{% if media %}<span class="picture" role="img" aria-label="{{ media.alt }}">{{ media.alt }}
<span class="url">{{ media.kind }}: {{ media.url }}</span></span>{% endif %}{% endmacro %}
{%- macro link(message) %}{% if message.link %}<span class="button">{{ message.link.label }}</span>
<p class="url">{{ message.link.url }}</p>{% endif %}{% endmacro %}
{%- macro items(message) %}{% if message.items %}<div class="items">{% for item in message.items %}<div class="item">
{%- if item.image is defined %}<span class="picture">{{ item.image }}</span>{% endif %}<strong>{{ item.title }}</strong>
{%- if item.price is defined %}<br>{{ item.price }}{% endif %}<p class="url">{{ item.url }}</p></div>
{%- endfor %}</div>{% endif %}
{%- endmacro %}
{%- macro replies(message) %}{% if message.replies %}<div class="replies">{% for reply in message.replies %}
<span class="reply">{{ reply.text }}
{%- if reply.trait is defined %}<span class="says">{{ reply.trait }} = {{ reply.value }}</span>
{%- elif reply.refuses is defined %}<span class="says">refuses: {{ reply.refuses }}</span>{% endif %}</span>
{%- endfor %}</div>{% endif %}
{%- endmacro %}
{%- macro words(message) %}{% if message.hook %}<p class="hook">{{ message.hook }}</p>{% endif %}
<p class="text">{{ message.body }}</p>{% endmacro %}
{%- macro bubble(message) %}<div class="bubble">{{ picture(message.media) }}{{ words(message) }}{{ items(message) }}
{{- link(message) }}</div>{{ replies(message) }}{% endmacro %}
{%- macro email(message) %}<div class="email">
<div class="head"><strong class="subject">{{ message.subject }}</strong></div>
<div class="in">{{ picture(message.media) }}{{ words(message) }}{{ items(message) }}{{ link(message) }}</div>
</div>{% endmacro %}
{%- macro card(message) %}<div class="card">{{ picture(message.media) }}{{ words(message) }}{{ items(message) }}
{{- link(message) }}{{ replies(message) }}</div>{% endmacro %}
"""


def page(brand: str, drawn: Sequence[DrawnAction]) -> str:
    """The whole page."""
    page_template, shapes = _templates()
    module = shapes.module
    by_shape = {name: getattr(module, name) for name in ("bubble", "email", "card")}
    return page_template.render(brand=brand, actions=drawn, shapes=by_shape, style=_STYLE)


@lru_cache(maxsize=1)
def _templates() -> tuple[Template, Template]:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.globals.clear()
    return environment.from_string(_PAGE), environment.from_string(_SHAPES)
