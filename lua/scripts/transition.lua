-- Makes the transitions that the time demands, for the sale clock.
--
-- Reply: { 'OK' or 'MISSING', now_us, state, events }

assert(#KEYS == 4 and #ARGV == 0, 'transition: 4 keys')

local sale = load_sale()
local now = now_us(sale)
if not sale then
  return { 'MISSING', now, '', {} }
end
tick(sale, now)
return finish(sale, now, 'OK')
