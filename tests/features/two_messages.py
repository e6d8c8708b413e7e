"""A catalogue of the two messages that the starter's brand falls back on."""

from __future__ import annotations

TWO_MESSAGES = """\
actions:
  - id: bestsellers
    kind: message
    stage: consideration
    goal: order
    channels: [whatsapp, line, web, email]
    placements: [chat_reply, weekly_message, web_banner]
    value: 480
    expected_rate: 0.03
    renderings:
      en: {body: What people come back for}
    templates:
      en: {name: bestsellers_v1, language: en, category: marketing}
  - id: chat_help
    kind: message
    stage: awareness
    goal: order
    channels: [whatsapp, line, web]
    placements: [chat_reply]
    value: 480
    expected_rate: 0.02
    renderings:
      en: {body: I am here to help}
"""
