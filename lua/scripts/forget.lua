-- Takes buyers out whom the log does not know as such, or a whole sale that the log knows as removed or
-- replaced. For a recovery, which holds the claim.
--
-- KEYS[5]  the claim
-- ARGV: token, then up to 1,000 users; none means the sale with all that belongs to it
-- Reply: 1, or 0 when the claim is another's or over

assert(#KEYS == 5 and #ARGV >= 1 and #ARGV <= 1001, 'forget: 5 keys, at most 1000 users')

if redis.call('GET', KEYS[5]) ~= ARGV[1] then
  return 0
end
if #ARGV == 1 then
  redis.call('DEL', SALE, BUYERS, REQUESTS, OUTBOX)
else
  redis.call('HDEL', BUYERS, unpack(ARGV, 2))
end
return 1
