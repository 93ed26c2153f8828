-- Removes a sale, for test environments. The outbox stays until the log has what it holds.
--
-- ARGV: sale_id
-- Reply: { 'OK' or 'MISSING', now_us, state, events }

assert(#KEYS == 4 and #ARGV == 1, 'delete: 4 keys, 1 argument')

local sale = load_sale()
local now = now_us(sale)
if not sale or sale.sale_id ~= ARGV[1] then
  return { 'MISSING', now, '', {} }
end
tick(sale, now)
note(sale, now, 'DELETED')
local written = write_changes(sale, 1, #sale.changes)
redis.call('DEL', SALE, BUYERS, REQUESTS)
return { 'OK', now, sale.state, written }
