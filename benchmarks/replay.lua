-- wrk's side of wrk.py: sends the requests of a file in their order, and prints the outcome.
--
-- REPLAY_FILE holds each request after a line with its length. The last line of the output is "replayed" and the
-- figures that wrk.py reads, times in microseconds.

local ffi = require("ffi")
-- src/stats.h of wrk: data[n] is how many answers took n microseconds.
ffi.cdef[[ typedef struct { uint64_t count, limit, min, max, data[]; } answer_times; ]]

local requests, place = {}, 0

function init()
   local file = assert(io.open(os.getenv("REPLAY_FILE"), "rb"))
   for length in file:lines() do
      requests[#requests + 1] = file:read(tonumber(length))
   end
   file:close()
   io.write("prepared ", os.clock(), "\n")
end

function request()
   place = place % #requests + 1
   return requests[place]
end

-- wrk adds answers that it thinks a client with a fixed rate would have waited for ("coordinated omission",
-- stats_correct in src/stats.c). Our connections have no rate: each waits for its answer. Takes out again what was
-- added, from the slowest down, since only slower answers add to a place. Exact: the rest adds up to what was counted.
local function without_corrections(times, summary)
   local rounds = math.floor(summary.requests / tonumber(os.getenv("REPLAY_CONNECTIONS")))
   if rounds == 0 then return end
   local interval = math.floor(summary.duration / rounds)
   for n = tonumber(times.max), 2 * interval, -1 do
      local count = times.data[n]
      if count > 0 then
         for m = n - interval, interval + 1, -interval do
            times.data[m] = times.data[m] - count
            times.count = times.count - count
         end
      end
   end
end

-- How many answers took more than this, and how long the slowest took, slowest first.
local function slow(times, limit, most)
   local over, worst = 0, {}
   for n = tonumber(times.max), tonumber(times.min), -1 do
      local count = tonumber(times.data[n])
      if n <= limit and #worst >= most then break end
      if n > limit then over = over + count end
      for _ = 1, math.min(count, most - #worst) do worst[#worst + 1] = n end
   end
   return over, worst
end

local function ranked(times, rank)
   local seen = 0
   for n = tonumber(times.min), tonumber(times.max) do
      seen = seen + tonumber(times.data[n])
      if seen > rank then return n end
   end
end

function done(summary, latency)
   local times, errors = ffi.cast("answer_times **", latency)[0], summary.errors
   without_corrections(times, summary)
   local count = tonumber(times.count)
   local broken = errors.connect + errors.read + errors.write
   io.write("replayed ", summary.requests, " ", count, " ", errors.status, " ", broken, " ", summary.duration)
   if count > 0 then
      local over, worst = slow(times, tonumber(os.getenv("REPLAY_SLOW")), tonumber(os.getenv("REPLAY_WORST")))
      io.write(" ", ranked(times, math.floor(count / 2)), " ", ranked(times, math.floor(count * 0.99)))
      io.write(" ", over, " ", table.concat(worst, " "))
   end
   io.write("\n")
end
