-- Stops a sale for now, or lets it go on; what is so already stays so, without an event.
--
-- ARGV: sale_id, '1' to stop or '0' to go on
-- Reply: { 'OK', 'MISSING' (no such sale) or 'ENDED', now_us, state, events }

assert(#KEYS == 4 and #ARGV == 2, 'pause: 4 keys, 2 arguments')

local sale = load_sale()
local now = now_us(sale)
if not sale or sale.sale_id ~= ARGV[1] then
  return { 'MISSING', now, '', {} }
end
tick(sale, now)
if sale.state == 'ENDED' then
  return finish(sale, now, 'ENDED')
end
local pause = ARGV[2] == '1'
if sale.paused ~= pause then
  sale.paused = pause
  note(sale, now, pause and 'PAUSED' or 'RESUMED')
end
return finish(sale, now, 'OK')
