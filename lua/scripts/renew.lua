-- Lengthens the claim of whoever recovers.
--
-- KEYS: the claim   ARGV: token, ms
-- Reply: 1, or 0 when the claim is another's or over

assert(#KEYS == 1 and #ARGV == 2, 'renew: 1 key, 2 arguments')

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
