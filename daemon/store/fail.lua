-- The request came to nothing: the lease ends, and nobody tries for a while.
-- KEYS lease hold fails
-- ARGV fence class least_ms most_ms permille tag channel
local time = redis.call('TIME')
local stamp = string.format('%.0f', time[1] * 1000000 + time[2])

if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then
  return {'late', stamp}
end
redis.call('DEL', KEYS[1])
-- The backoff is the fleet's: each try may be another host's, so the count is kept here.
local n = redis.call('INCR', KEYS[3])
redis.call('PEXPIRE', KEYS[3], 3600000)
local backoff = math.min(tonumber(ARGV[4]), 500 * 2 ^ math.min(n, 7)) * (0.5 + ARGV[5] / 2000)
local ms = string.format('%.0f', math.max(tonumber(ARGV[3]), math.floor(backoff), 1))
redis.call('HSET', KEYS[2], 'class', ARGV[2], 'tag', ARGV[6], 'id', ARGV[1], 'ms', ms)
redis.call('PEXPIRE', KEYS[2], ms)
redis.call('PUBLISH', ARGV[7], 'F ' .. ms .. ' ' .. ARGV[2])
return {'failed', stamp}
