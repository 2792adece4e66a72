"""A made-up product that the library does not know: its source and mapping."""

SOURCE = """
name: acme
title: Acme
vendor: Acme
product: Proxy
parser: jsonl
recognise: {fields: {acme: {exists: true}}}
"""
MAPPING = """
common: {time: {from: t, format: epoch_ms}}
events:
  - name: all
    class: http_activity
    when: {}
    activity: 99
    set: {message: said, http_request.http_method: {value: GET}}
"""
