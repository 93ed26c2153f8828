-- Gives Redis back what the log says of one batch: its buyers and their request ids. For a recovery, which
-- holds the claim; nothing is decided meanwhile. The same call again changes nothing.
--
-- KEYS[5]  the claim
-- ARGV: token, first unit of the batch, decided at in us, the request ids, each ended by a line feed, the users
-- Reply: 1, or 0 when the claim is another's or over

assert(#KEYS == 5 and #ARGV >= 5 and #ARGV <= 132, 'restore: 5 keys, 1 to 128 users')

if redis.call('GET', KEYS[5]) ~= ARGV[1] then
  return 0
end
local buyers = {}
for i = 5, #ARGV do
  local n = i - 4
  buyers[2 * n - 1], buyers[2 * n] = ARGV[i], integer(n) .. '|' .. ARGV[2] .. '|' .. ARGV[3]
end
redis.call('HSET', BUYERS, unpack(buyers))
-- The batch may be there with more buyers than are missing; theirs must not be lost.
local ids = redis.call('HGET', REQUESTS, ARGV[2])
if not ids or string.sub(ids, 1, #ARGV[4]) ~= ARGV[4] then
  redis.call('HSET', REQUESTS, ARGV[2], ARGV[4])
end
return 1
