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

assert(#KEYS == 4, 'decide: 4 keys')
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

-- The rush after the last unit: everybody is refused and nothing changes.
if refusal and not returning and not sale.changed then
  return { now, sale.sale_id, string.rep(refusal, count), sale.seq, sale.stock, '', {}, {} }
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

local sold_before = sale.seq
local first = integer(sold_before + 1)
local at = integer(now)
local middle = '|' .. first .. '|' .. at
local statuses, receipts, bought_count = '', {}, 0
local users_text, ids_text = '', ''

-- Numbers as text: making it of a number costs more than all the rest of a value.
local function texts()
  return {
    '1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12', '13', '14', '15', '16', '17', '18', '19', '20',
    '21', '22', '23', '24', '25', '26', '27', '28', '29', '30', '31', '32', '33', '34', '35', '36', '37', '38', '39',
    '40', '41', '42', '43', '44', '45', '46', '47', '48', '49', '50', '51', '52', '53', '54', '55', '56', '57', '58',
    '59', '60', '61', '62', '63', '64', '65', '66', '67', '68', '69', '70', '71', '72', '73', '74', '75', '76', '77',
    '78', '79', '80', '81', '82', '83', '84', '85', '86', '87', '88', '89', '90', '91', '92', '93', '94', '95', '96',
    '97', '98', '99', '100', '101', '102', '103', '104', '105', '106', '107', '108', '109', '110', '111', '112', '113',
    '114', '115', '116', '117', '118', '119', '120', '121', '122', '123', '124', '125', '126', '127', '128',
  }
end

-- The common case of a running sale: nobody returns, and the stock outlasts the batch. Everybody is
-- written without a look at the others; HSET tells whether somebody was there twice, and then nothing is
-- lost, because the careful way below writes every one of these users again.
local function sell_to_all()
  local buyers, n, text = {}, 0, texts()
  for i = 1, count do
    buyers[n + 1], buyers[n + 2] = ARGV[i + 3], text[i] .. middle
    n = n + 2
  end
  return redis.call('HSET', BUYERS, unpack(buyers)) == count
end

-- The lines of a text.
local function lines(text)
  local found_lines = {}
  for line in string.gmatch(text, '[^\n]+') do
    found_lines[#found_lines + 1] = line
  end
  return found_lines
end

-- Any case: one after the other.
local function decide_each()
  local requests, text, batches = lines(request_text), texts(), {}
  assert(#requests == count, 'decide: as many request ids as users')
  local each, buyers, bought, users, ids = {}, {}, {}, {}, {}
  for i = 1, count do
    local user, request = ARGV[i + 3], requests[i]
    local held = found[i] or bought[user]
    if held then
      local n, batch, decided_at = string.match(held, '^(%d+)|(%d+)|(%d+)$')
      local by = ids[tonumber(n)]
      if found[i] then
        batches[batch] = batches[batch] or lines(redis.call('HGET', REQUESTS, batch) or '')
        by = batches[batch][tonumber(n)]
      end
      local seq = tonumber(batch) + tonumber(n) - 1
      each[i] = by == request and 'R' or 'D'
      local open = '0'
      if each[i] == 'R' and found[i] then
        open = pending(seq, decided_at)
      end
      receipts[#receipts + 1] = integer(seq) .. '|' .. decided_at .. '|' .. open
    elseif refusal then
      each[i] = refusal
    else
      bought_count = bought_count + 1
      local value = text[bought_count] .. middle
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
  statuses = table.concat(each)
  if bought_count > 0 then
    users_text, ids_text = table.concat(users, '\n'), table.concat(ids, '\n') .. '\n'
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
  redis.call('HSET', REQUESTS, first, ids_text)
  outbox_id = outbox(now, 't', 'd', 'sale', sale.sale_id, 'at', at, 'by', ingest,
    'first', first, 'left', integer(sale.stock + bought_count - 1), 'n', integer(bought_count),
    'users', users_text, 'requests', ids_text)
end
for _, event in ipairs(write_changes(sale, changes_before + 1, #sale.changes)) do
  events[#events + 1] = event
end
if bought_count > 0 or sale.changed then
  save_sale(sale, now)
end
return { now, sale.sale_id, statuses, sold_before, sale.stock, outbox_id, receipts, events }
