-- Activities for wrk: every request a new message (STORE=1) or an event with nothing to store (STORE=0).
local store = os.getenv("STORE") ~= "0"
local paths = {}
for path in os.getenv("HOOK"):gmatch("%S+") do paths[#paths + 1] = path end
local thread = 0
function setup(t) thread = thread + 1; t:set("id", thread) end
local count = 0
function request()
  count = count + 1
  local mark = (os.getenv("ROUND") or "") .. "-" .. id .. "-" .. count
  local body
  if store then
    body = '{"type":"message","id":"' .. mark .. '","channelId":"webchat","timestamp":"2026-11-24T10:00:00Z",' ..
      '"serviceUrl":"http://127.0.0.1:9/","text":"' .. string.rep("Is the blue one in stock? ", 12) .. '","textFormat":"plain",' ..
      '"from":{"id":"customer-' .. (count % 50) .. '","name":"Ann Lee"},"recipient":{"id":"28:bot","name":"ShopBot"},' ..
      '"conversation":{"id":"conversation-' .. (count % 50) .. '"}}'
  else
    body = '{"type":"trace","id":"' .. mark .. '","channelId":"webchat","serviceUrl":"http://127.0.0.1:9/","text":"' ..
      string.rep("Is the blue one in stock? ", 12) .. '","from":{"id":"x"},"recipient":{"id":"28:bot"}}'
  end
  return wrk.format("POST", paths[1 + count % #paths], {["Content-Type"] = "application/json"}, body)
end
function done(summary, latency)
  io.write(string.format("%s: %.0f/s, median %.2f ms, 99%% %.2f ms, not 200: %d, socket errors: %d\n", store and "storing" or "not storing",
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
