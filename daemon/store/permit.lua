-- Which hosts may ask the login server by themselves while the store is away: so many, and each
-- until it has not asked for that here for a while.
-- KEYS alone
-- ARGV host most keep_ms
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stamp = string.format('%.0f', now)

redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now + 1000000), '+inf')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[3] * 1000))
local others, rank, mine = 0, 0, false
for _, host in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if host == ARGV[1] then
    mine = true
  else
    others = others + 1
    if host < ARGV[1] then rank = rank + 1 end
  end
end
if not mine and others >= tonumber(ARGV[2]) then
  return {'none', stamp}
end
redis.call('ZADD', KEYS[1], stamp, ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {'permit', stamp, string.format('%.0f', rank)}
