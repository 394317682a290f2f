"""Caffe's nets, read without Caffe."""

from .reader import Reader as Reader
