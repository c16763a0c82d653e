-- A token, new or known, becomes what everybody has, unless there is a newer one.
-- KEYS record lease hold seq fails
-- ARGV generation stamp_us left_us issued_us sealed channel
-- left_us: what was left of its life when this same clock said stamp_us. Whoever is stopped in
-- between, or whose packets hang, thereby says too little, never too much.
local record, lease, hold, seq, fails = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local generation, stamp_us = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stamp = string.format('%.0f', now)

local r = redis.call('HMGET', record, 'gen', 't0', 'left', 'issued', 'sealed', 'rejected', 'forced',
  'accepted')
local have = tonumber(r[1] or 0)
local l = redis.call('HMGET', lease, 'fence', 'forced')
local mine = l[1] == ARGV[1]
if mine then
  redis.call('DEL', lease)
end
if have > generation or (have == generation and r[6] == '1') then
  return {'newer', stamp, r[1], r[2], r[3], r[4], r[5], r[6]}
end
-- A stamp from before a step of the clock would make the token live longer than it does.
if now < stamp_us or now - stamp_us > 5000000 then
  return {'stale', stamp}
end
local left = ARGV[3] - (now - stamp_us)
if left <= 0 then
  return {'dead', stamp}
end
-- The same token: its date alone may be put right, and not for what is measured in noise.
if have == generation and math.abs(r[3] - (now - r[2]) - left) < 500000 then
  return {'same', stamp}
end

local forced = have == generation and r[7] or mine and l[2] or '0'
local left_us = string.format('%.0f', left)
-- What a store without memory does not refuse comes first.
redis.call('DEL', record)
redis.call('HSET', record, 'gen', ARGV[1], 't0', stamp, 'left', left_us, 'issued', ARGV[4],
  'sealed', ARGV[5], 'rejected', '0', 'forced', forced)
if have == generation and r[8] then
  redis.call('HSET', record, 'accepted', r[8])
end
redis.call('PEXPIRE', record, string.format('%.0f', math.ceil(left / 1000) + 60000))
if tonumber(redis.call('GET', seq) or 0) < generation then
  redis.call('SET', seq, ARGV[1])
end
if have < generation then
  redis.call('DEL', hold, fails)
end
redis.call('PUBLISH', ARGV[6],
  table.concat({'T', ARGV[1], stamp, left_us, ARGV[4], ARGV[5]}, ' '))
return {'put', stamp}
