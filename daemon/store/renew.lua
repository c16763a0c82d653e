-- The request takes its time: is the lease still this one, and then for the whole of its time again.
-- KEYS lease
-- ARGV fence lease_ms
local time = redis.call('TIME')
local stamp = string.format('%.0f', time[1] * 1000000 + time[2])

if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then
  return {'late', stamp}
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('HSET', KEYS[1], 'ms', ARGV[2])
-- Tells those who wait that it is alive: to them it is another lease now.
redis.call('HINCRBY', KEYS[1], 'kept', 1)
return {'kept', stamp}
