"""The mapping of the simulator's export, written beside it; `docs/mappings/simulator.yaml` is its copy for readers."""

MAPPING = """\
# The export of the simulated brand: `rapport simulate --out export` writes this file beside `events.parquet`.
# One row an event, except orders: one row a line, joined again by order_id.
description: The simulated brand's events, one Parquet file
customer: customer_id
time: time
currency: currency
events:
  - event: identify
    where: event = 'identify'
    key: message_id
    properties:
      locale: locale
      time_zone: time_zone

  - event: Order Completed
    where: event = 'Order Completed'
    group_by: [order_id]
    order_id: order_id
    product:
      product_id: product_id
      name: product_name
      category: category
      quantity: quantity
      price: price

  - event: Order Refunded
    where: event = 'Order Refunded'
    key: message_id
    order_id: order_id
    total: total

  - event: {column: event}
    where: event IN ('Product Viewed', 'Product Added')
    key: message_id
    channel: channel
    product:
      product_id: product_id
      name: product_name
      category: category
      quantity: quantity
      price: price

  - event: Question Answered
    where: event = 'Question Answered'
    key: message_id
    trait: trait
    answer: answer
    channel: channel
    properties:
      conversation_id: conversation_id

  - event: {column: event}
    where: event LIKE 'Message %'
    key: message_id
    channel: channel
    campaign: campaign
    action_id: action_id
    arm: arm
    action_probability: action_probability

  - event: {column: event}
    where: event LIKE 'Consent %'
    key: message_id
    channel: channel
    properties:
      purpose: purpose

  - event: {column: event}
    where: event IN ('Page Viewed', 'Ad Viewed', 'Ad Clicked', 'Subscribed')
    key: message_id
    channel: channel
    campaign: campaign
"""
