"""One DICOM file becomes the gray picture that a viewer would show."""
