-- Decides a batch of purchase attempts of one sale, atomically, with the outbox entry (NF-6, NF-9).
--
-- ARGV[1]  the sale_id that the caller means to buy from
-- ARGV[2]  id of the calling ingest instance
-- ARGV[3…] pairs: user, request id; at most 128 pairs, which bounds every unpack() here
--
-- Reply: { now_us, sale_id, statuses, units sold before, units left after, outbox id or '', receipts, events }
--   statuses: one letter an attempt
--     A accepted: the next sequence          R repeated: same request id, the same success again
--     D already purchased                    S sold out
--     U not started  E time expired  P paused  G another sale now     M no such sale in Redis
--   receipts: for each R and D in order "sequence|decided_at_us|pending", pending = 1 while the
--     outbox still holds that unit, so that the log may lack it

assert(#KEYS == 3, 'decide: 3 keys')
assert(#ARGV >= 4 and #ARGV % 2 == 0 and #ARGV <= 258, 'decide: 1 to 128 pairs')

local expected, ingest = ARGV[1], ARGV[2]
local count = (#ARGV - 2) / 2

local sale = load_sale()
local now = now_us(sale)
if not sale then
  return { now, '', string.rep('M', count), 0, 0, '', {}, {} }
end

tick(sale, now)
local changes_before = #sale.changes

local users = {}
for i = 1, count do
  users[i] = ARGV[1 + 2 * i]
end
local found = redis.call('HMGET', BUYERS, unpack(users))

-- Whether the outbox still holds unit `seq`, decided at `at`: its entry's id begins with that millisecond.
local function pending(seq, at)
  local ms = integer(math.floor(tonumber(at) / 1000))
  for _, entry in ipairs(redis.call('XRANGE', OUTBOX, ms, ms)) do
    local fields = entry[2]
    if fields[2] == 'd' then
      local first = tonumber(fields[10])
      if seq >= first and seq < first + (#fields - 12) / 2 then
        return '1'
      end
    end
  end
  return '0'
end

-- What an attempt without a receipt gets, until the stock runs out in this very batch.
local refusal
if expected ~= sale.sale_id then
  refusal = 'G'
elseif sale.state == 'ENDED' then
  refusal = sale.end_reason == 'SOLD_OUT' and 'S' or 'E'
elseif sale.paused then
  refusal = 'P'
elseif sale.state == 'UPCOMING' then
  refusal = 'U'
end

local sold_before = sale.seq
local at = integer(now)
local statuses, receipts, bought, buyers, entry = {}, {}, {}, {}, nil

for i = 1, count do
  local user, request = users[i], ARGV[2 + 2 * i]
  local held = found[i] or bought[user]
  if held then
    local seq, decided_at, by = string.match(held, '^(%d+)|(%d+)|(.*)$')
    statuses[i] = by == request and 'R' or 'D'
    local open = '0'
    if statuses[i] == 'R' and not bought[user] then
      open = pending(tonumber(seq), decided_at)
    end
    receipts[#receipts + 1] = seq .. '|' .. decided_at .. '|' .. open
  elseif refusal then
    statuses[i] = refusal
  else
    sale.seq, sale.stock = sale.seq + 1, sale.stock - 1
    local value = integer(sale.seq) .. '|' .. at .. '|' .. request
    bought[user] = value
    buyers[#buyers + 1], buyers[#buyers + 2] = user, value
    if not entry then
      entry = { 't', 'd', 'sale', sale.sale_id, 'at', at, 'by', ingest, 'first', integer(sale.seq), 'left',
        integer(sale.stock) }
    end
    entry[#entry + 1], entry[#entry + 2] = user, request
    statuses[i] = 'A'
    if sale.stock == 0 then
      refusal = 'S'
      sale.state, sale.end_reason = 'ENDED', 'SOLD_OUT'
      note(sale, now, 'ENDED', 'SOLD_OUT')
    end
  end
end

local events, outbox_id = write_changes(sale, 1, changes_before), ''
if entry then
  outbox_id = outbox(now, unpack(entry))
  redis.call('HSET', BUYERS, unpack(buyers))
end
for _, event in ipairs(write_changes(sale, changes_before + 1, #sale.changes)) do
  events[#events + 1] = event
end
if entry or sale.changed then
  save_sale(sale, now)
end
return { now, sale.sale_id, table.concat(statuses), sold_before, sale.stock, outbox_id, receipts, events }
