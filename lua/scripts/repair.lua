-- Sets a sale to what the log says of it, once its buyers are right. For a recovery, which holds the claim.
-- Then makes the changes that are due and that the log has yet to learn: what was lost with Redis' last second
-- may include the start, or the end by the last unit.
--
-- KEYS[5]  the claim
-- ARGV: token, sale_id, product name, initial stock, start in ms, end in ms, state, end reason or '',
--       '1' when paused, number of the last change, units sold, time of the newest of all this in us, challenge
-- Reply: { 'OK', or 'MISSING' when the claim is another's or over, now_us, state, events }

assert(#KEYS == 5 and #ARGV == 13, 'repair: 5 keys, 13 arguments')

if redis.call('GET', KEYS[5]) ~= ARGV[1] then
  return { 'MISSING', 0, '', {} }
end
-- The reply of the first call was lost: it has made the changes that were due.
local held = load_sale()
if held and held.sale_id == ARGV[2] and held.events > tonumber(ARGV[10]) then
  return { 'OK', now_us(held), held.state, {} }
end
local sale = {
  sale_id = ARGV[2], name = ARGV[3], initial_stock = tonumber(ARGV[4]), start_ms = tonumber(ARGV[5]),
  end_ms = tonumber(ARGV[6]), state = ARGV[7], end_reason = ARGV[8], paused = ARGV[9] == '1',
  events = tonumber(ARGV[10]), seq = tonumber(ARGV[11]), last_us = tonumber(ARGV[12]), changes = {}, changed = true,
  challenge = ARGV[13],
}
sale.stock = sale.initial_stock - sale.seq
local last = redis.call('XREVRANGE', OUTBOX, '+', '-', 'COUNT', 1)[1]
if last then
  sale.last_us = math.max(sale.last_us, tonumber(string.match(last[1], '^(%d+)')) * 1000)
end
local now = now_us(sale)
if sale.state == 'UPCOMING' and (sale.seq > 0 or now >= sale.start_ms * 1000) then
  sale.state = 'ACTIVE'
  note(sale, now, 'STARTED')
end
if sale.state == 'ACTIVE' and sale.stock == 0 then
  sale.state, sale.end_reason = 'ENDED', 'SOLD_OUT'
  note(sale, now, 'ENDED', 'SOLD_OUT')
end
tick(sale, now)
local reply = finish(sale, now, 'OK')
redis.call('HSET', SALE, 'sale_id', sale.sale_id, 'name', sale.name, 'initial_stock', sale.initial_stock,
  'start_ms', sale.start_ms, 'end_ms', sale.end_ms, 'challenge', sale.challenge)
return reply
