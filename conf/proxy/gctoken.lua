-- For haproxy.cfg beside it: asks gctokend for the token of each request, and rejects what the API refused.

local SOCKET = "unix@/run/gctokend/gctokend.sock"
local PROFILE = "default"

local function ask(txn, method, target, timeout_ms)
    local client = core.httpclient()
    local answer = client[method](client, {
        url = "http://gctokend" .. target, dst = SOCKET, timeout = timeout_ms,
    })
    local retry_after = answer.headers and answer.headers["retry-after"]
    txn:set_var("txn.gctoken_status", answer.status)
    txn:set_var("txn.gctoken_retry_after", retry_after and retry_after[0] or "5")
    return answer.status == 200 and answer.headers or nil
end

core.register_action("gctoken_take", {"http-req"}, function(txn)
    local fields = ask(txn, "get", "/v1/authorization/" .. PROFILE .. "?wait=10", 15000)
    if fields then
        txn:set_var("txn.gctoken_generation", fields["gctoken-generation"][0])
        txn.http:req_set_header("authorization", fields["authorization"][0])
    end
end)

core.register_action("gctoken_reject", {"http-res"}, function(txn)
    ask(txn, "post", "/v1/token/reject?profile=" .. PROFILE .. "&wait=30&generation=" ..
        txn:get_var("txn.gctoken_generation"), 35000)
end)
