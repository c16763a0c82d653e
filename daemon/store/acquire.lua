-- May this host ask the login server for a token now, or, with `check`, the API whether it takes the
-- one that a caller reported? One decision, in one place.
-- KEYS record lease mints hold seq
-- ARGV host known reject floor lease_ms mint_limit window_ms cooldown_ms tag break_lease break_hold
--      check doubted
local record, lease, mints, hold, seq = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local host, known, reject = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local window_us, cooldown_us = ARGV[7] * 1000, ARGV[8] * 1000
local check = ARGV[12] == '1'
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function text(number) return string.format('%.0f', number) end
local stamp = text(now)

local r = redis.call('HMGET', record, 'gen', 't0', 'left', 'issued', 'sealed', 'rejected', 'forced',
  'accepted')
local have = tonumber(r[1] or 0)
if have > known and r[6] ~= '1' or check and have == reject and r[6] == '1' then
  return {'newer', stamp, r[1], r[2], r[3], r[4], r[5], r[6]}
end

-- The first write of a script is one that a store without memory does not refuse; what follows it
-- goes through. POSTs in the future were before the clock was set back.
redis.call('ZREMRANGEBYSCORE', mints, '(' .. text(now + 1000000), '+inf')
redis.call('ZREMRANGEBYSCORE', mints, '-inf', text(now - window_us))

if reject > 0 and have == reject and r[6] ~= '1' then
  local age = math.max(now - r[2], 0)
  if r[7] == '1' and age < cooldown_us then
    return {'cooldown', stamp, text(math.ceil((cooldown_us - age) / 1000))}
  end
  -- One host asks the API for all, and then none asks for as long.
  local fence, at = string.match(r[8] or '', '^(%d+) (%d+) ')
  if check and fence and fence ~= ARGV[13] and now - at < cooldown_us then
    return {'accepted', stamp, r[8]}
  end
  if not check then
    redis.call('HSET', record, 'rejected', '1')
  end
end

-- What a host has watched for longer than it may last has ended, whatever this clock says of it:
-- the clock may have been set back, or be another since a failover.
local h = redis.call('HMGET', hold, 'class', 'tag', 'id', 'ms')
if not check and h[1] and h[3] ~= ARGV[11] and (h[1] ~= 'client_rejected' or h[2] == ARGV[9]) then
  return {'hold', stamp, text(redis.call('PTTL', hold)), h[1], h[3], h[4]}
end
local l = redis.call('HMGET', lease, 'host', 'fence', 'ms', 'kept')
local id = l[1] and l[2] .. '.' .. (l[4] or '0')
if l[1] and l[1] ~= host and id ~= ARGV[10] then
  return {'held', stamp, text(redis.call('PTTL', lease)), l[1], id, l[3]}
end
if not check and redis.call('ZCARD', mints) >= tonumber(ARGV[6]) then
  local first = redis.call('ZRANGE', mints, 0, 0, 'WITHSCORES')
  local left_us = (first[2] and first[2] - now or 0) + window_us
  return {'limit', stamp, text(math.ceil(left_us / 1000) + 1)}
end

-- Above all that the store, this host or (when all data was lost) the time of day has seen.
local fence = text(math.max(tonumber(redis.call('GET', seq) or 0), have, known, tonumber(ARGV[4]),
  math.floor(now / 1000)) + 1)
redis.call('SET', seq, fence)
redis.call('DEL', lease)
redis.call('HSET', lease, 'host', host, 'fence', fence, 'forced', reject > 0 and '1' or '0',
  'ms', ARGV[5])
redis.call('PEXPIRE', lease, ARGV[5])
if not check then
  redis.call('DEL', hold)
  redis.call('ZADD', mints, stamp, fence)
  redis.call('PEXPIRE', mints, ARGV[7])
end
return {'granted', stamp, fence}
