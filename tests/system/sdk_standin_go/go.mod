module github.com/mypurecloud/platform-client-sdk-go/v199

go 1.19
