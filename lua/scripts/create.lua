-- Sets up a sale. The same sale_id again changes nothing, so a lost reply may be asked for again.
--
-- ARGV: sale_id, product name, initial stock, start in ms, end in ms, challenge
-- Reply: { 'OK' or 'EXISTS' (another sale holds the SKU), now_us, state, events }

assert(#KEYS == 4 and #ARGV == 6, 'create: 4 keys, 6 arguments')

local sale = load_sale()
local now = now_us(sale)
if sale then
  return { sale.sale_id == ARGV[1] and 'OK' or 'EXISTS', now, sale.state, {} }
end

-- A deleted sale may have left a younger entry in the outbox than a clock that was set back.
local last = redis.call('XREVRANGE', OUTBOX, '+', '-', 'COUNT', 1)[1]
if last then
  now = math.max(now, tonumber(string.match(last[1], '^(%d+)')) * 1000)
end

sale = {
  sale_id = ARGV[1], name = ARGV[2], initial_stock = tonumber(ARGV[3]), stock = tonumber(ARGV[3]), seq = 0,
  start_ms = tonumber(ARGV[4]), end_ms = tonumber(ARGV[5]), state = 'UPCOMING', end_reason = '', paused = false,
  last_us = now, events = 0, changes = {}, challenge = ARGV[6],
}
note(sale, now, 'CREATED')
tick(sale, now)
local reply = finish(sale, now, 'OK')
redis.call('HSET', SALE, 'sale_id', sale.sale_id, 'name', sale.name, 'initial_stock', sale.initial_stock,
  'start_ms', sale.start_ms, 'end_ms', sale.end_ms, 'challenge', sale.challenge)
return reply
