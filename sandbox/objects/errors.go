package objects

import (
	"encoding/xml"
	"io/fs"
	"net/http"
	"strconv"
)

// apiError is an answer with an error document.
type apiError struct {
	status  int
	code    string
	message string
	details []detail
	header  http.Header
}

// detail is an element that some errors have besides.
type detail struct{ name, value string }

func (e *apiError) Error() string { return strconv.Itoa(e.status) + " " + e.code + ": " + e.message }

// Is makes what is missing fs.ErrNotExist.
func (e *apiError) Is(target error) bool {
	return target == fs.ErrNotExist && e.status == http.StatusNotFound
}

// with returns the error with one more element.
func (e *apiError) with(name, value string) *apiError {
	more := *e
	more.details = append(more.details[:len(more.details):len(more.details)], detail{name, value})
	return &more
}

var (
	errAccessDenied      = &apiError{status: 403, code: "AccessDenied", message: "Access Denied"}
	errExpired           = &apiError{status: 403, code: "AccessDenied", message: "Request has expired"}
	errNotYetValid       = &apiError{status: 403, code: "AccessDenied", message: "Request is not yet valid"}
	errHeadersNotSigned  = &apiError{status: 403, code: "AccessDenied", message: "There were headers present in the request which were not signed"}
	errTimeSkewed        = &apiError{status: 403, code: "RequestTimeTooSkewed", message: "The difference between the request time and the current time is too large."}
	errUnknownAccessKey  = &apiError{status: 403, code: "InvalidAccessKeyId", message: "The AWS Access Key Id you provided does not exist in our records."}
	errSignature         = &apiError{status: 403, code: "SignatureDoesNotMatch", message: "The request signature we calculated does not match the signature you provided. Check your key and signing method."}
	errInvalidToken      = &apiError{status: 400, code: "InvalidToken", message: "The provided token is malformed or otherwise invalid."}
	errTwoMechanisms     = &apiError{status: 400, code: "InvalidArgument", message: "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified"}
	errOldSignature      = &apiError{status: 400, code: "InvalidRequest", message: "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."}
	errQueryParameters   = &apiError{status: 400, code: "AuthorizationQueryParametersError", message: "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."}
	errExpiresRange      = &apiError{status: 400, code: "AuthorizationQueryParametersError", message: "X-Amz-Expires must be a number of seconds from 1 to 604800"}
	errAuthHeader        = &apiError{status: 400, code: "AuthorizationHeaderMalformed", message: "The authorization header is malformed."}
	errMissingContentSHA = &apiError{status: 400, code: "InvalidRequest", message: "Missing required header for this request: x-amz-content-sha256"}

	errNoSuchBucket      = &apiError{status: 404, code: "NoSuchBucket", message: "The specified bucket does not exist"}
	errNoSuchKey         = &apiError{status: 404, code: "NoSuchKey", message: "The specified key does not exist."}
	errNoSuchUpload      = &apiError{status: 404, code: "NoSuchUpload", message: "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."}
	errBucketOwned       = &apiError{status: 409, code: "BucketAlreadyOwnedByYou", message: "Your previous request to create the named bucket succeeded and you already own it."}
	errBucketNotEmpty    = &apiError{status: 409, code: "BucketNotEmpty", message: "The bucket you tried to delete is not empty"}
	errInvalidBucketName = &apiError{status: 400, code: "InvalidBucketName", message: "The specified bucket is not valid."}
	errInvalidURI        = &apiError{status: 400, code: "InvalidURI", message: "Couldn't parse the specified URI."}
	errKeyTooLong        = &apiError{status: 400, code: "KeyTooLongError", message: "Your key is too long"}
	errMethod            = &apiError{status: 405, code: "MethodNotAllowed", message: "The specified method is not allowed against this resource."}
	errNotImplemented    = &apiError{status: 501, code: "NotImplemented", message: "A header or query you provided implies functionality that is not implemented."}

	errLength          = &apiError{status: 411, code: "MissingContentLength", message: "You must provide the Content-Length HTTP header."}
	errTooLarge        = &apiError{status: 400, code: "EntityTooLarge", message: "Your proposed upload exceeds the maximum allowed size"}
	errTooSmall        = &apiError{status: 400, code: "EntityTooSmall", message: "Your proposed upload is smaller than the minimum allowed size"}
	errIncompleteBody  = &apiError{status: 400, code: "IncompleteBody", message: "You did not provide the number of bytes specified by the Content-Length HTTP header."}
	errInvalidDigest   = &apiError{status: 400, code: "InvalidDigest", message: "The Content-MD5 or checksum value that you specified is not valid."}
	errBadDigest       = &apiError{status: 400, code: "BadDigest", message: "The Content-MD5 or checksum value that you specified did not match what we received."}
	errContentSHA      = &apiError{status: 400, code: "XAmzContentSHA256Mismatch", message: "The provided 'x-amz-content-sha256' header does not match what was computed."}
	errMalformedXML    = &apiError{status: 400, code: "MalformedXML", message: "The XML you provided was not well-formed or did not validate against our published schema"}
	errInvalidPart     = &apiError{status: 400, code: "InvalidPart", message: "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."}
	errPartOrder       = &apiError{status: 400, code: "InvalidPartOrder", message: "The list of parts was not in ascending order. Parts must be ordered by part number."}
	errPartNumber      = &apiError{status: 400, code: "InvalidArgument", message: "Part number must be an integer between 1 and 10000, inclusive"}
	errMaxKeys         = &apiError{status: 400, code: "InvalidArgument", message: "Argument maxKeys must be an integer between 0 and 2147483647"}
	errContinuation    = &apiError{status: 400, code: "InvalidArgument", message: "The continuation token provided is incorrect"}
	errRange           = &apiError{status: 416, code: "InvalidRange", message: "The requested range is not satisfiable"}
	errPrecondition    = &apiError{status: 412, code: "PreconditionFailed", message: "At least one of the pre-conditions you specified did not hold"}
	errPartUnavailable = &apiError{status: 416, code: "InvalidPartNumber", message: "The requested partnumber is not satisfiable"}
)

// errorDocument is how S3 writes an error.
type errorDocument struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	Details   []detailElement
	Resource  string
	RequestID string `xml:"RequestId"`
	HostID    string `xml:"HostId"`
}

type detailElement struct {
	XMLName xml.Name
	Value   string `xml:",chardata"`
}

func (e *apiError) document(resource, requestID string) errorDocument {
	d := errorDocument{Code: e.code, Message: e.message, Resource: resource, RequestID: requestID, HostID: "sandbox"}
	for _, more := range e.details {
		d.Details = append(d.Details, detailElement{xml.Name{Local: more.name}, more.value})
	}
	return d
}
