-- The API takes the token that was reported: the lease ends, and whoever asks next is told so.
-- KEYS record lease
-- ARGV fence generation proof
local time = redis.call('TIME')
local stamp = string.format('%.0f', time[1] * 1000000 + time[2])

if redis.call('HGET', KEYS[2], 'fence') ~= ARGV[1] then
  return {'late', stamp}
end
redis.call('DEL', KEYS[2])
if redis.call('HGET', KEYS[1], 'gen') ~= ARGV[2] then
  return {'late', stamp}
end
redis.call('HSET', KEYS[1], 'accepted', ARGV[1] .. ' ' .. stamp .. ' ' .. ARGV[3])
return {'put', stamp}
