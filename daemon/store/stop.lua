-- An admin's revoke: a record without a token, of a generation above all others, so that whoever is
-- about to put a token comes too late.
-- KEYS record lease seq
-- ARGV generation left_us issued_us sealed channel
-- The generation is sealed into the record, so the host has to know it before: where somebody may
-- be minting with a higher one, it is told the next, and comes again with that.
local record, lease, seq = KEYS[1], KEYS[2], KEYS[3]
local generation = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stamp = string.format('%.0f', now)

local r = redis.call('HMGET', record, 'gen', 't0', 'left', 'issued', 'sealed', 'rejected')
if tonumber(r[1] or 0) > generation then
  return {'newer', stamp, r[1], r[2], r[3], r[4], r[5], r[6]}
end
local highest = tonumber(redis.call('GET', seq) or 0)
redis.call('DEL', lease)
if highest > generation then
  local fence = string.format('%.0f', math.max(highest, math.floor(now / 1000)) + 1)
  redis.call('SET', seq, fence)
  return {'granted', stamp, fence}
end
redis.call('DEL', record)
redis.call('HSET', record, 'gen', ARGV[1], 't0', stamp, 'left', ARGV[2], 'issued', ARGV[3],
  'sealed', ARGV[4], 'rejected', '0', 'forced', '0')
redis.call('PEXPIRE', record, string.format('%.0f', math.ceil(ARGV[2] / 1000) + 60000))
redis.call('SET', seq, ARGV[1])
redis.call('PUBLISH', ARGV[5], table.concat({'T', ARGV[1], stamp, ARGV[2], ARGV[3], ARGV[4]}, ' '))
return {'put', stamp}
