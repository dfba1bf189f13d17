"""Stage folders on disk: complete or not there, and each says what it was made from.

`writer` writes a folder as a whole, by way of a hidden one (`staging`) and alone in it (`lock`).
`manifest` is what it says of itself and the check that it still holds, `finding` knows what lies
where, `checkpoint` keeps what an unfinished training has come to, and `workfolder` sees all stages
of a work folder together.
"""
