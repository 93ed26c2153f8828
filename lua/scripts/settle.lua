-- Forgets outbox entries that the log has acknowledged; with the last one of a removed sale also the stream.
--
-- ARGV: entry ids, at most 1,000
-- Reply: how many were there

assert(#KEYS == 4 and #ARGV >= 1 and #ARGV <= 1000, 'settle: 4 keys, 1 to 1000 ids')

local gone = redis.call('XDEL', OUTBOX, unpack(ARGV))
if redis.call('EXISTS', SALE) == 0 and redis.call('XLEN', OUTBOX) == 0 then
  redis.call('DEL', OUTBOX)
end
return gone
