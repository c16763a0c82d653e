// Package platformclientv2 stands in for Genesys' SDK for Go, which cannot be had without a network. It has
// what the hook of docs/clients.md touches, by the names and with the behavior of the SDK's public source:
// the HTTP client that can be replaced, its options, the configuration, and a log of the request headers.
package platformclientv2

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

type HTTPRequestOptions struct {
	url     *url.URL
	method  string
	headers map[string][]string
	body    interface{}
}

func (o *HTTPRequestOptions) GetHeaders() map[string][]string { return o.headers }

func (o *HTTPRequestOptions) SetHeaders(key string, value string) error {
	if key == "" {
		return fmt.Errorf("header key cannot be empty")
	}
	if o.headers == nil {
		o.headers = make(map[string][]string)
	}
	o.headers[key] = []string{value}
	return nil
}

type AbstractHttpClient interface {
	Do(options *HTTPRequestOptions) (*http.Response, error)
	SetRetryMax(max int)
}

type DefaultHttpClient struct{}

func (c *DefaultHttpClient) SetRetryMax(int) {}

// Do makes a request of the options anew, whose headers are the options' own.
func (c *DefaultHttpClient) Do(o *HTTPRequestOptions) (*http.Response, error) {
	body, err := json.Marshal(o.body)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(&http.Request{URL: o.url, Method: o.method, Header: o.headers, Close: true,
		Body: io.NopCloser(strings.NewReader(string(body))), ContentLength: int64(len(body))})
}

type APIClient struct {
	client AbstractHttpClient
}

func (c *APIClient) SetHttpClient(client interface{}) error {
	httpClient, ok := client.(AbstractHttpClient)
	if !ok {
		return fmt.Errorf("httpClient must implement AbstractHttpClient interface")
	}
	c.client = httpClient
	return nil
}

func (c *APIClient) GetHttpClient() AbstractHttpClient { return c.client }

type APIResponse struct {
	StatusCode int
}

// Logged is what the SDK's log would show of the last request.
var Logged []string

func (c *APIClient) CallAPI(path string, method string, postBody interface{},
	headerParams map[string]string, queryParams map[string]string, formParams url.Values,
	fileName string, fileBytes []byte, pathName string) (*APIResponse, error) {
	u, err := url.Parse(path)
	if err != nil {
		return nil, err
	}
	options := &HTTPRequestOptions{url: u, method: method, body: postBody}
	for k, v := range headerParams {
		options.SetHeaders(k, v)
	}
	c.client.SetRetryMax(0)
	res, err := c.client.Do(options)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if _, err = io.ReadAll(res.Body); err != nil {
		return nil, err
	}
	Logged = options.GetHeaders()["Authorization"]
	return &APIResponse{StatusCode: res.StatusCode}, nil
}

type Configuration struct {
	BasePath    string
	AccessToken string
	APIClient   APIClient
}

var instance = &Configuration{BasePath: "https://api.mypurecloud.com",
	APIClient: APIClient{client: &DefaultHttpClient{}}}

func GetDefaultConfiguration() *Configuration { return instance }
