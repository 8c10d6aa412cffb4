"""The twelve examples that the tests of the loader and of the schema share."""

from __future__ import annotations

TWELVE = """\
# yaml-language-server: $schema=./schedules.schema.json
version: 1
timezone: Europe/Berlin
defaults:
  options: {queue: periodic, expires: 10m}
  catch_up: latest

workflows:
  import-feed:
    chain:
      - task: shop.fetch_feed
      - group:
          - {task: shop.index, kwargs: {shard: 0}}
          - {task: shop.index, kwargs: {shard: 1}}
      - task: shop.publish

schedules:
  heartbeat:                       # 1 interval
    task: ops.ping
    every: 30s

  nightly-report:                  # 2 cron, quoted
    task: reports.nightly
    cron: "30 2 * * *"

  market-open:                     # 3 several times, own zone
    task: trading.warm_cache
    cron: ["25 9 * * mon-fri", "55 15 * * mon-fri"]
    timezone: America/New_York

  resize-images:                   # 4 arguments
    task: media.resize
    every: 15m
    args: [1280, webp]
    kwargs: {quality: 85, dry_run: false}

  invoice-run:                     # 5 delivery options
    task: billing.invoice_all
    cron: "0 6 1 * *"
    options: {queue: billing, priority: 9, expires: 2h, time_limit: 1h, headers: {tenant: acme}}

  etl:                             # 6 workflow inline: chain
    cron: "0 4 * * *"
    chain:
      - task: etl.extract
      - task: etl.transform
      - {task: etl.load, options: {queue: heavy}}

  thumbnails:                      # 7 chord with an error callback
    every: 1h
    chord:
      header:
        - {task: img.thumb, args: [small]}
        - {task: img.thumb, args: [large]}
      body: {task: img.notify}
    on_error: {task: ops.alert, args: [thumbnails]}

  import-feed:                     # 8 named workflow
    cron: "*/20 7-19 * * *"
    workflow: import-feed

  poll-partners:                   # 9 spread and jitter
    task: partners.poll
    every: 5m
    spread: true
    jitter: 10s

  rebuild-search:                  # 10 missed runs, overlap, alarm
    task: search.rebuild
    cron: "0 */6 * * *"
    catch_up: none
    overlap: skip
    late_after: 5m

  black-friday-prices:             # 11 season, tags, owner, off for now
    task: shop.refresh_prices
    every: 1m
    start: 2026-11-26T00:00
    end: 2026-11-30T23:59
    enabled: false
    description: Only while the campaign runs.
    tags: [campaign, shop]
    owner: pricing-team

  migrate-users:                   # 12 one-off, value from the environment
    task: users.migrate
    at: 2026-12-01T03:00
    kwargs: {bucket: "${MIGRATION_BUCKET:-staging-bucket}"}
"""
