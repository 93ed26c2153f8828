-- Opens the fence and gives the claim up, in one step: no late call of this recovery can do anything after it.
--
-- KEYS: the claim, the verified run_id   ARGV: token, run_id of the server that was repaired
-- Reply: 1, or 0 when the claim is another's or over

assert(#KEYS == 2 and #ARGV == 2, 'open: 2 keys, 2 arguments')

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[1])
return 1
