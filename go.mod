module mailfail

go 1.26
