-- Replaces the configuration of an upcoming sale.
--
-- ARGV: sale_id, product name, initial stock, start in ms, end in ms, challenge
-- Reply: { 'OK', 'MISSING' (no such sale) or 'NOT_MODIFIABLE', now_us, state, events }

assert(#KEYS == 4 and #ARGV == 6, 'update: 4 keys, 6 arguments')

local sale = load_sale()
local now = now_us(sale)
if not sale or sale.sale_id ~= ARGV[1] then
  return { 'MISSING', now, '', {} }
end
tick(sale, now)
if sale.state ~= 'UPCOMING' then
  return finish(sale, now, 'NOT_MODIFIABLE')
end
sale.name, sale.initial_stock, sale.stock = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[3])
sale.start_ms, sale.end_ms, sale.challenge = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
note(sale, now, 'UPDATED')
tick(sale, now)
local reply = finish(sale, now, 'OK')
redis.call('HSET', SALE, 'name', sale.name, 'initial_stock', sale.initial_stock, 'start_ms', sale.start_ms,
  'end_ms', sale.end_ms, 'challenge', sale.challenge)
return reply
