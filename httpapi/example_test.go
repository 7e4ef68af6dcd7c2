package httpapi_test

import (
	"fmt"
	"net/http/httptest"

	"tally/httpapi"
)

// A Handler is an http.Handler over whatever counts.
func ExampleNew() {
	handler, err := httpapi.New(httpapi.Config{Backend: newMemory()})
	if err != nil {
		fmt.Println(err)
		return
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest("POST", "/v1/groups/room/counters/likes/increase", nil))
	fmt.Print(recorder.Body)
	// Output: {"group":"room","revision":101,"key":"likes","value":1,"counters":{"likes":1}}
}
