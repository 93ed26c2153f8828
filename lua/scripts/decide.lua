-- Decides a batch of purchase attempts of one sale, atomically, with the outbox entry (NF-6, NF-9).
--
-- ARGV[1]  the sale_id that the caller means to buy from
-- ARGV[2]  id of the calling ingest instance
-- ARGV[3]  the request ids, each ended by a line feed: as one text they cost nothing until one is needed
-- ARGV[4…] the users; at most 128, which bounds every unpack() here
--
-- Reply: { now_us, sale_id, statuses, units sold before, units left after, outbox id or '', receipts, events }
--   statuses: one letter an attempt
--     A accepted: the next sequence          R repeated: same request id, the same success again
--     D already purchased                    S sold out
--     U not started  E time expired  P paused  G another sale now     M no such sale in Redis
--   receipts: for each R and D in order "sequence|decided_at_us|pending", pending = 1 while the
--     outbox still holds that unit, so that the log may lack it

assert(#KEYS == 3, 'decide: 3 keys')
assert(#ARGV >= 4 and #ARGV <= 131, 'decide: 1 to 128 users')

-- A global costs a look-up each time.
local ARGV = ARGV
local expected, ingest, request_text = ARGV[1], ARGV[2], ARGV[3]
local count = #ARGV - 3

local sale = load_sale()
local now = now_us(sale)
if not sale then
  return { now, '', string.rep('M', count), 0, 0, '', {}, {} }
end

tick(sale, now)
local changes_before = #sale.changes

local found = redis.call('HMGET', BUYERS, unpack(ARGV, 4))
local returning = false
for i = 1, count do
  if found[i] then
    returning = true
    break
  end
end

-- Whether the outbox still holds unit `seq`, decided at `at`: its entry's id begins with that millisecond.
local function pending(seq, at)
  local ms = integer(math.floor(tonumber(at) / 1000))
  for _, entry in ipairs(redis.call('XRANGE', OUTBOX, ms, ms)) do
    local fields = entry[2]
    if fields[2] == 'd' then
      local first = tonumber(fields[10])
      if seq >= first and seq < first + tonumber(fields[14]) then
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
local middle = '|' .. at .. '|'
local statuses, receipts, bought_count = '', {}, 0
local users_text, ids_text = '', ''

-- The common case of a running sale: nobody returns, and the stock outlasts the batch. Everybody is
-- written without a look at the others; HSET tells whether somebody was there twice, and then nothing is
-- lost, because the careful way below writes every one of these users again.
local function sell_to_all()
  local buyers, n, seq = {}, 0, sold_before
  for request in string.gmatch(request_text, '[^\n]+') do
    seq = seq + 1
    -- A sequence has at most ten digits, so `..` keeps it exact.
    buyers[n + 1], buyers[n + 2] = ARGV[seq - sold_before + 3], seq .. middle .. request
    n = n + 2
  end
  assert(n == 2 * count, 'decide: as many request ids as users')
  return redis.call('HSET', BUYERS, unpack(buyers)) == count
end

-- Any case: one after the other.
local function decide_each()
  local requests = {}
  for request in string.gmatch(request_text, '[^\n]+') do
    requests[#requests + 1] = request
  end
  assert(#requests == count, 'decide: as many request ids as users')
  local each, buyers, bought, users, ids = {}, {}, {}, {}, {}
  for i = 1, count do
    local user, request = ARGV[i + 3], requests[i]
    local held = found[i] or bought[user]
    if held then
      local seq, decided_at, by = string.match(held, '^(%d+)|(%d+)|(.*)$')
      each[i] = by == request and 'R' or 'D'
      local open = '0'
      if each[i] == 'R' and found[i] then
        open = pending(tonumber(seq), decided_at)
      end
      receipts[#receipts + 1] = seq .. '|' .. decided_at .. '|' .. open
    elseif refusal then
      each[i] = refusal
    else
      bought_count = bought_count + 1
      local value = (sold_before + bought_count) .. middle .. request
      bought[user] = value
      buyers[2 * bought_count - 1], buyers[2 * bought_count] = user, value
      users[bought_count], ids[bought_count] = user, request
      each[i] = 'A'
      if bought_count == sale.stock then
        refusal = 'S'
        sale.state, sale.end_reason = 'ENDED', 'SOLD_OUT'
        sale.seq = sold_before + bought_count
        note(sale, now, 'ENDED', 'SOLD_OUT')
      end
    end
  end
  statuses, users_text, ids_text = table.concat(each), table.concat(users, '\n'), table.concat(ids, '\n')
  if bought_count > 0 then
    redis.call('HSET', BUYERS, unpack(buyers))
  end
end

if refusal and not returning then
  statuses = string.rep(refusal, count)
elseif not returning and count < sale.stock and sell_to_all() then
  statuses, bought_count = string.rep('A', count), count
  users_text, ids_text = table.concat(ARGV, '\n', 4), request_text
else
  decide_each()
end

local events, outbox_id = write_changes(sale, 1, changes_before), ''
if bought_count > 0 then
  sale.seq, sale.stock = sold_before + bought_count, sale.stock - bought_count
  outbox_id = outbox(now, 't', 'd', 'sale', sale.sale_id, 'at', at, 'by', ingest,
    'first', integer(sold_before + 1), 'left', integer(sale.stock + bought_count - 1), 'n', integer(bought_count),
    'users', users_text, 'requests', ids_text)
end
for _, event in ipairs(write_changes(sale, changes_before + 1, #sale.changes)) do
  events[#events + 1] = event
end
if bought_count > 0 or sale.changed then
  save_sale(sale, now)
end
return { now, sale.sale_id, statuses, sold_before, sale.stock, outbox_id, receipts, events }
