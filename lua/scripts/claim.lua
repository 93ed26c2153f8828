-- Takes the right to recover this server process.
--
-- KEYS: the claim   ARGV: token, which begins with the run_id; run_id; ms
-- Reply: 1, also when the claim is this one's already; 0 when another has it for this process. One for another
--   process is void: the server restarted, and who had it has to begin anew.

assert(#KEYS == 1 and #ARGV == 3, 'claim: 1 key, 3 arguments')

local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and string.sub(held, 1, #ARGV[2]) == ARGV[2] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
