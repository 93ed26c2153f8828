-- What every script of a sale shares. It is put in front of each of them.
--
-- KEYS[1] sale:{SKU}          hash    the sale
-- KEYS[2] sale:{SKU}:buyers   hash    user -> "n|first|decided_at_us": the n-th unit of the batch whose first
--                                     unit is `first`, so the sequence is first + n - 1
-- KEYS[3] sale:{SKU}:outbox   stream  what the log may not have yet
-- KEYS[4] sale:{SKU}:requests hash    first -> the request ids of that batch in order, each ended by a line
--                                     feed: one text a batch, since only a shopper who returns needs his
--
-- Each script reads, then checks, then writes. When Redis is out of memory it refuses a script's first
-- write, so that nothing has happened, and none after it, so that nothing is left half done.
--
-- Numbers are doubles and exact up to 2^53: microseconds are until the year 2255. redis.call() takes
-- them as they are; `..` would round them to 14 digits, so text is made with integer() alone.

local SALE, BUYERS, OUTBOX, REQUESTS = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local function integer(n)
  return string.format('%.0f', n)
end

-- The sale as a table, or nil when there is none.
local function load_sale()
  local f = redis.call('HMGET', SALE, 'sale_id', 'state', 'stock', 'initial_stock', 'seq', 'start_ms', 'end_ms',
    'end_reason', 'paused', 'last_us', 'events')
  if not f[1] then
    return nil
  end
  return {
    sale_id = f[1], state = f[2], stock = tonumber(f[3]), initial_stock = tonumber(f[4]), seq = tonumber(f[5]),
    start_ms = tonumber(f[6]), end_ms = tonumber(f[7]), end_reason = f[8], paused = f[9] == '1',
    last_us = tonumber(f[10]), events = tonumber(f[11]), changes = {},
  }
end

-- The server's clock in microseconds; within a sale it never runs backwards.
local function now_us(sale)
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  if sale and sale.last_us > now then
    return sale.last_us
  end
  return now
end

-- Notes a state change, numbered without holes within the sale. `seq` is taken now: later sales in
-- the same script do not belong to it.
local function note(sale, now, kind, reason)
  sale.events = sale.events + 1
  sale.changed = true
  sale.changes[#sale.changes + 1] = {
    kind = kind, n = sale.events, reason = reason or '', state = sale.state, paused = sale.paused, seq = sale.seq,
    at = now,
  }
end

-- The transitions that the time demands. ENDED is never reached but through ACTIVE (FL-5).
local function tick(sale, now)
  if sale.state == 'UPCOMING' and now >= sale.start_ms * 1000 then
    sale.state = 'ACTIVE'
    note(sale, now, 'STARTED')
  end
  if sale.state == 'ACTIVE' and now >= sale.end_ms * 1000 then
    sale.state, sale.end_reason = 'ENDED', 'TIME_EXPIRED'
    note(sale, now, 'ENDED', 'TIME_EXPIRED')
  end
end

-- Writes one outbox entry; its id begins with the sale's time, so ids rise with the sale.
local function outbox(now, ...)
  return redis.call('XADD', OUTBOX, integer(math.floor(now / 1000)) .. '-*', ...)
end

-- Writes the noted changes from `first` to the outbox; returns them as {id, field, value, ...} each.
local function write_changes(sale, first, last)
  local written = {}
  for i = first, last do
    local c = sale.changes[i]
    if not sale.name then
      local held = redis.call('HMGET', SALE, 'name', 'challenge')
      -- A sale that an earlier version set up has no challenge.
      sale.name, sale.challenge = held[1], held[2] or 'NONE'
    end
    local entry = {
      't', 'e', 'sale', sale.sale_id, 'at', integer(c.at), 'kind', c.kind, 'n', integer(c.n), 'reason', c.reason,
      'state', c.state, 'paused', c.paused and '1' or '0', 'seq', integer(c.seq), 'name', sale.name,
      'initial', integer(sale.initial_stock), 'start', integer(sale.start_ms), 'end', integer(sale.end_ms),
      'challenge', sale.challenge,
    }
    table.insert(entry, 1, outbox(c.at, unpack(entry)))
    written[#written + 1] = entry
  end
  return written
end

-- Writes what moves during a sale.
local function save_sale(sale, now)
  redis.call('HSET', SALE, 'state', sale.state, 'stock', sale.stock, 'seq', sale.seq, 'end_reason', sale.end_reason,
    'paused', sale.paused and '1' or '0', 'last_us', now, 'events', sale.events)
end

-- For the scripts that only change the state: write all, answer {code, now_us, state, events}.
local function finish(sale, now, code)
  local written = {}
  if sale.changed then
    written = write_changes(sale, 1, #sale.changes)
    save_sale(sale, now)
  end
  return { code, now, sale.state, written }
end
